import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseMeasurements } from "../model/wire";
import { boundText, differenceText, flagText, quantityText, setLanguage, unitText, valueText } from ".";
import { sentence } from "./sentence";
import { chooseUnit, setBridgeUnits } from "./units";

beforeEach(async () => {
  await setLanguage("en");
  chooseUnit("temperature", "°F");
  chooseUnit("pressure", "inHg");
  chooseUnit("gases", "µg/m³");
});

afterEach(() => {
  for (const quantity of ["temperature", "pressure", "gases"] as const) chooseUnit(quantity, null);
  setBridgeUnits([]);
});

describe("chosen units", () => {
  it("are those of values, limits, differences and flags", () => {
    expect([valueText(21.5, "temperature"), unitText("temperature", "°C")]).toEqual(["70.7", "°F"]);
    expect(quantityText(1013.25, "pressure", "hPa")).toBe("29.92 inHg");
    expect(boundText(30, "temperature", "°C")).toBe("86 °F");
    expect(differenceText(0.5, "temperature", "°C")).toBe("0.9 °F");
    expect(flagText("outside -40..85", "temperature")).toBe("outside −40 to 185");
    expect(quantityText(45, "humidity", "%RH")).toBe("45.0 %RH");
    expect(quantityText(12, "coPpm", "%")).toBe("12 %");
  });

  it("are those of sentences: their values, and their differences", () => {
    const subject = { field: "temperature", unit: "°C" };
    const numbers = new Map([["before", 20], ["after", 30], ["natural", 2], ["hours", 3], ["change", 5]]);
    const text = sentence("{field}: {before} to {after} {unit}, {natural} {unit}, {hours} h, {change} %", subject, { field: "T" }, numbers);
    expect(text).toBe("T: 68 to 86 °F, 3.6 °F, 3 h, 5 %");
  });

  it("have names in the language", async () => {
    await setLanguage("ru");
    chooseUnit("pressure", "mmHg");
    expect(quantityText(1013.25, "pressure", "hPa")).toBe("760,0 мм рт. ст.");
    expect(quantityText(100, "no2", "ppb")).toBe("188,2 мкг/м³");
    expect(unitText("co2", "ppm")).toBe("млн⁻¹");
    expect(unitText("unknown", "furlong")).toBe("furlong");
  });
});

it("follow the bridge until the browser has chosen", () => {
  chooseUnit("temperature", null);
  setBridgeUnits(parseMeasurements([{ name: "temperature", unit: "°C", shownUnit: "°F" }]));
  expect(quantityText(0, "temperature", "°C")).toBe("32.0 °F");
  chooseUnit("temperature", "°C");
  expect(quantityText(0, "temperature", "°C")).toBe("0.0 °C");
});
