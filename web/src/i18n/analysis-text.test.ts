import { afterEach, describe, expect, test } from "vitest";

import { parsePrediction } from "../model/analysis/prediction";
import type { Prediction } from "../model/analysis/prediction";
import { HOUR } from "../model/history/time-range";
import { NOON, TABLE, advice, anomaly } from "../model/testing";
import { setLanguage } from ".";
import { sourceText, tipText } from "./advice-text";
import { endText, faultText, limitText } from "./anomaly-text";
import { hourText, recordText, summaryText } from "./forecast-text";

afterEach(async () => setLanguage("en"));

function prediction(over: Record<string, unknown> = {}): Prediction {
  const values = [0, 1].map((n) => ({ at: new Date(NOON + n * HOUR).toISOString(), mean: 600 + 50 * n, low: 500 - 20 * n, high: 800 + 90 * n }));
  const parsed = parsePrediction({ deviceId: "office", field: "co2", unit: "ppm", model: "profile", values, days: 30, error30d: 22, ofPersistence30d: 0.6, coverage30d: 0.904, ...over });
  if (parsed === null) throw new Error("not a prediction");
  return parsed;
}

describe("the track record", () => {
  test.each([
    ["en", "Forecast: over the last 30 days it was off by 22 ppm on average, 40 % less than assuming no change; 90 % of the values were within the band."],
    ["es", "Pronóstico: en los últimos 30 días se desvió 22 ppm de media, un 40 % menos que suponiendo que nada cambia; el 90 % de los valores quedó dentro de la banda."],
    ["fr", "Prévision : sur les 30 derniers jours, écart moyen de 22 ppm, soit 40 % de moins qu’en supposant que rien ne change ; 90 % des valeurs étaient dans la bande."],
    ["ru", "Прогноз: за последние 30 дней ошибка в среднем 22 млн⁻¹, на 40 % меньше, чем если считать, что ничего не изменится; в полосу попало 90 % значений."],
  ] as const)("is said in %s", async (language, text) => {
    await setLanguage(language);
    expect(recordText(prediction())?.replaceAll(/[\u00a0\u202f]/g, " ")).toBe(text);
  });

  test.each([
    [{ model: "learning", days: 9 }, "Forecast: learning, 9 of 14 days"],
    [{ model: "learning", days: 20 }, "Forecast: learning, 14 of 14 days"],
    [{ model: "persistence" }, "Forecast: no better than the last value, so it is not shown"],
    [{ error30d: null }, null],
  ])("of %j is %j", (over, text) => {
    expect(recordText(prediction(over))).toBe(text);
  });

  test("boasts of no advantage that there is not", () => {
    for (const ofPersistence30d of [0.996, 1, 1.02]) expect(recordText(prediction({ ofPersistence30d }))).toContain("about as much as assuming no change");
  });
});

test("the hours ahead are said with their bounds", () => {
  expect(summaryText(prediction(), NOON)).toBe("forecast for the next 2 hr: 480 ppm to 890 ppm, at the end about 650 ppm");
  expect(hourText(prediction().hours[0] ?? { at: 0, mean: 0, low: 0, high: 0 }, prediction())).toMatch(/^\d\d:00 to \d\d:00: about 600 ppm, between 500 ppm and 800 ppm$/);
});

describe("the sentence of a fault", () => {
  test.each([
    ["en", "temperature has been exactly 21.4 °C for 26 hours. The longest such time before was 3 hours, and the limit is 24 hours. The sensor may be stuck."],
    ["ru", "Температура: ровно 21,4 °C уже 26 ч. Раньше без изменений проходило не больше 3 ч, предел 24 ч. Возможно, датчик завис."],
  ] as const)("is made of the key and the numbers: %s", async (language, text) => {
    await setLanguage(language);
    expect(faultText(anomaly("1"), TABLE, "")).toBe(text);
  });

  test("names the fields and the neighbour, and has no space where there is no unit", () => {
    const drift = anomaly("1", { key: "anomaly.driftPercent", kind: "drift", field: "co2", fields: ["co2"], unit: "", neighbour: "hall", parameters: { change: -12.34, mean: 500, expected: 570 } });
    expect(faultText(drift, TABLE, "Hall, upstairs")).toContain("co2 differs by −12.3 % from what Hall, upstairs in the same room suggests: 500 instead of about 570 on average");
    const freeze = anomaly("1", { key: "anomaly.crossFreeze", fields: ["humidity", "temperature"], parameters: { hours: 14 } });
    expect(faultText(freeze, TABLE, "")).toMatch(/^humidity and temperature stopped changing at the same time, 14 hours ago/);
  });

  test.each([
    ["a key that this page does not know", { key: "anomaly.haunted", message: "Haunted." }, "Haunted."],
    ["a number that is missing", { parameters: {}, message: "Stuck." }, "Stuck."],
    ["a key of other texts", { key: "rule.flame", message: "Odd." }, "Odd."],
  ])("is the bridge's own with %s", (_, over, text) => {
    expect(faultText(anomaly("1", over), TABLE, "")).toBe(text);
  });
});

test.each([
  [{}, "Limit: 24 h without a change; the longest such time before: 3 h"],
  [{ kind: "spike", parameters: { limit: 5 } }, "Limit: 5 outliers within 24 hours"],
  [{ kind: "drift", parameters: { limit: 15, sum: 17.2 } }, "Limit: a sum of 15 standard deviations; reached: 17.2"],
  [{ kind: "step", parameters: { natural: 0.5 } }, "Limit: twice the largest usual jump, which is 0.5 °C"],
  [{ kind: "unusual", parameters: { low: 18, high: 23.5 } }, "Usual range: 18 to 23.5 °C"],
  [{ kind: "saturated", parameters: { minutes: 10, readings: 5 } }, "Limit: 10 min and 5 readings at the end of the range"],
  [{ parameters: {} }, null],
])("the limit of %j is said as %j", (over, text) => {
  expect(limitText(anomaly("1", over))).toBe(text);
});

test.each([
  [{}, null],
  [{ state: "ended", outcome: "ended" }, "over"],
  [{ state: "ended", outcome: "accepted" }, "over, because it has become normal"],
  [{ state: "wrong", markedBy: "ann" }, "marked as wrong by ann"],
])("the end of %j is said as %j", (over, text) => {
  expect(endText(anomaly("1", over))).toBe(text);
});

describe("advice", () => {
  test.each([
    ["en", "Air the room now: co2 is likely to rise above 2,000 ppm within 1 h (62 %).", "The limit is that of German guide values for CO₂ indoors, UBA (2008)."],
    ["fr", "Aérez la pièce maintenant : Dioxyde de carbone dépassera probablement 2 000 ppm d’ici 1 h (62 %).", "Limite : Valeurs guides allemandes pour le CO₂ à l’intérieur, UBA (2008)."],
  ] as const)("and whose limit it names are said in %s", async (language, text, source) => {
    await setLanguage(language);
    expect([tipText(advice("1"), TABLE), sourceText(advice("1"))].map((one) => one?.replaceAll(/[\u00a0\u202f]/g, " "))).toEqual([text, source]);
  });

  test("of a limit of one's own, or of an unknown standard, names no source", () => {
    expect([null, "standard.later"].map((standard) => sourceText(advice("1", { standard })))).toEqual([null, null]);
  });

  test("that this page does not know is said in the bridge's words", () => {
    expect(tipText(advice("1", { key: "advice.dance", message: "Dance." }), TABLE)).toBe("Dance.");
  });
});
