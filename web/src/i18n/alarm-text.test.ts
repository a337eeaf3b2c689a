import { afterEach, describe, expect, test } from "vitest";

import { NOON, TABLE, alarm } from "../model/testing";
import { setLanguage } from ".";
import { adviceText, bellText, figureText, messageText, pastText, speechText, standardText, stateText } from "./alarm-text";

afterEach(async () => setLanguage("en"));

describe("the words of an alarm", () => {
  test("are those of the bridge in English", () => {
    const one = alarm("1");
    expect([messageText(one), adviceText(one), standardText(one)]).toEqual(["Carbon monoxide 212 ppm at Cellar, Home", one.advice, "NIOSH Pocket Guide to Chemical Hazards"]);
  });

  test.each([
    ["ru", "Угарный газ 212 млн⁻¹: Cellar, Home", "Немедленно выйдите все. По пути откройте окна и двери, снаружи вызовите экстренные службы."],
    ["es", "Monóxido de carbono 212 ppm en Cellar, Home", "Salgan todos ahora. Abran ventanas y puertas al salir y llamen a emergencias desde fuera."],
    ["fr", "Monoxyde de carbone 212 ppm\u00a0: Cellar, Home", "Tout le monde dehors. Ouvrez fenêtres et portes en partant et appelez les secours de l’extérieur."],
  ] as const)("are in the language of the page: %s", async (language, message, advice) => {
    await setLanguage(language);
    expect([messageText(alarm("1")), adviceText(alarm("1"))]).toEqual([message, advice]);
  });

  test("have the place after the value, or before it", async () => {
    await setLanguage("es");
    const stale = alarm("1", { rule: "co2-air", value: 2100, message: "Stale air at Room 1: the blue one, School: carbon dioxide 2,100 ppm" });
    expect(messageText(stale)).toBe("Aire viciado en Room 1: the blue one, School: dióxido de carbono 2100 ppm");
    expect(messageText(alarm("1", { rule: "no-data", value: null, message: "No data from attic (1.5)" }))).toBe("Sin datos de attic (1.5)");
    expect(messageText(alarm("1", { rule: "store-unavailable", value: null, message: "The store is unavailable" }))).toBe("El almacenamiento no está disponible");
  });

  test.each([
    ["a rule that this page does not know", { rule: "freezer", message: "Freezer −12 °C at Kitchen", advice: "Close the door." }],
    ["a rule whose texts an operator has written", { message: "CO!! 212 ppm, cellar", advice: "Run." }],
    ["a rule named like a property of objects", { rule: "constructor", message: "Odd", advice: "toString" }],
  ])("are the record's own for %s", async (_, over) => {
    await setLanguage("ru");
    const one = alarm("1", over);
    expect([messageText(one), adviceText(one)]).toEqual([over.message, over.advice]);
  });

  test("are the rule's name when the record has none", () => {
    expect(messageText(alarm("1", { rule: "freezer", message: "" }))).toBe("freezer");
  });

  test("say an unknown standard neutrally, and none where there is none", () => {
    expect(standardText(alarm("1", { standard: "standard.later" }))).toBe("A standard that this page does not know");
    expect(standardText(alarm("1", { standard: null }))).toBeNull();
  });
});

test.each([
  [{ state: "unacknowledged" }, "not acknowledged"],
  [{ state: "acknowledged" }, "acknowledged"],
  [{ state: "acknowledged", acknowledgedBy: "ann" }, "acknowledged by ann"],
  [{ state: "acknowledged", acknowledgedBy: "anyone" }, "acknowledged"],
  [{ state: "returned" }, "over, not acknowledged"],
  [{ state: "latched" }, "over, to be reset"],
  [{ state: "normal" }, "over"],
])("the state of %j is said as %j", (over, text) => {
  expect(stateText(alarm("1", over))).toBe(text);
});

test("a figure has its unit, and a boolean has none", () => {
  expect([figureText(212.35, { field: "coPpm", unit: "ppm" }), figureText(true, { field: "flameDetected", unit: "ppm" }), figureText(5, { field: null, unit: null })]).toEqual(["212.4 ppm", "yes", "5"]);
});

describe("a violation that became known later", () => {
  const past = { from: "2026-01-15T11:00:00.000Z", to: "2026-01-15T11:40:00.000Z", readings: 40 };
  const said = (over: Record<string, unknown>) => pastText(alarm("1", { state: "normal", past, ...over }), TABLE, NOON)?.replaceAll(/\d\d:\d\d:\d\d/g, "T");

  test("is said as what it was, and when", () => {
    expect(said({})).toBe("coPpm was above 200 ppm from T to T while the device was cut off");
    expect(said({ rule: "battery", field: "battery", value: 9, limit: 15, unit: "%" })).toBe("battery was below 15 % from T to T while the device was cut off");
  });

  test("without a limit is said by its message", () => {
    expect(said({ rule: "flame", field: "flameDetected", value: true, limit: null, message: "Flame detected at Cellar" })).toBe("From T to T while the device was cut off: Flame detected at Cellar");
  });

  test("is not what an alarm that was raised is", () => {
    expect(said({ past: null })).toBeUndefined();
  });
});

test("the bell says how many are unacknowledged, by priority", async () => {
  expect(bellText({ critical: 0, high: 0, medium: 0, low: 0 })).toBe("Alarms: all acknowledged");
  expect(bellText({ critical: 1, high: 0, medium: 12, low: 0 })).toBe("Alarms not acknowledged: 1 critical alarm, 12 medium alarms");
  await setLanguage("ru");
  expect(bellText({ critical: 2, high: 5, medium: 0, low: 1 })).toBe("Неподтверждённые тревоги: 2 критические тревоги, 5 важных тревог, 1 тревога низкой важности");
});

describe("what is spoken", () => {
  test("is the message of each new alarm, the most urgent first", () => {
    const heat = alarm("2", { priority: "high", rule: "heat", message: "58 °C at Hall", value: 58, unit: "°C" });
    expect(speechText([heat, alarm("1")])).toBe("Critical alarm: Carbon monoxide 212 ppm at Cellar, Home. High alarm: 58 °C at Hall.");
    expect(speechText([])).toBe("");
  });

  test("is only a number for most of a flood", () => {
    const flood = Array.from({ length: 10_000 }, (_, number) => alarm(String(number)));
    expect(speechText(flood)).toMatch(/^(Critical alarm: Carbon monoxide 212 ppm at Cellar, Home\. ){3}and 9,997 more$/);
  });
});
