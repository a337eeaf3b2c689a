import { describe, expect, it } from "vitest";

import type { Units } from "./units";
import { STORED_UNITS, UNITS, asUnit, conversionOf, isIdentity, shown, shownDifference, stored, unitsOf } from "./units";

const AMERICAN: Units = { temperature: "°F", pressure: "inHg", gases: "ppb" };
const EUROPEAN: Units = { temperature: "°C", pressure: "mmHg", gases: "µg/m³" };

describe("conversions", () => {
  it.each([
    ["temperature", "°C", AMERICAN, 0, 32],
    ["temperature", "°C", AMERICAN, 21.5, 70.7],
    ["temperature", "°C", AMERICAN, -40, -40],
    ["temperature", "°C", AMERICAN, 37, 98.6],
    ["pressure", "hPa", AMERICAN, 1013.25, 29.9212],
    ["pressure", "hPa", EUROPEAN, 1013.25, 760],
    ["no2", "ppb", EUROPEAN, 100, 188.164],
    ["o3", "ppb", EUROPEAN, 50, 98.155],
    ["so2", "ppb", EUROPEAN, 10, 26.203],
    ["hcho", "ppb", EUROPEAN, 80, 98.245],
    ["tvoc", "ppb", EUROPEAN, 220, 1012],
  ])("shows %s of %s", (field, unit, units, value, expected) => {
    expect(shown(value, conversionOf(field, units, unit))).toBeCloseTo(expected, 3);
  });

  it("has no noise of binary fractions", () => {
    expect(shown(21.6, conversionOf("temperature", AMERICAN))).toBe(70.88);
    expect(shown(220, conversionOf("tvoc", EUROPEAN))).toBe(1012);
  });

  it("returns typed values to their stored unit", () => {
    for (const units of [AMERICAN, EUROPEAN, STORED_UNITS]) {
      for (const [field, unit] of [["temperature", "°C"], ["pressure", "hPa"], ["no2", "ppb"], ["tvoc", "ppb"], ["co2", "ppm"]] as const) {
        const conversion = conversionOf(field, units, unit);
        for (const value of [-40, -0.1, 0, 0.3, 21.37, 987.65, 20_000]) expect(stored(shown(value, conversion), conversion)).toBeCloseTo(value, 8);
      }
    }
  });

  it("converts differences without the offset", () => {
    expect(shownDifference(5, conversionOf("temperature", AMERICAN))).toBe(9);
  });

  it.each([
    ["co2", "ppm"],
    ["coPpm", "ppm"],
    ["pm25", "µg/m³"],
    ["coPpm", "%"],
    ["temperature", "%"],
    ["vocIndex", "ppb"],
    ["unknown", "ppb"],
    ["constructor", "ppb"],
    ["aqi", ""],
  ])("leaves %s in %s alone", (field, unit) => {
    const conversion = conversionOf(field, { temperature: "°F", pressure: "inHg", gases: "µg/m³" }, unit);
    expect(conversion.unit).toBe(unit);
    expect(isIdentity(conversion)).toBe(true);
    expect(shown(7.1, conversion)).toBe(7.1);
  });
});

describe("the choice", () => {
  it("accepts the units of the quantity only", () => {
    expect(asUnit("pressure", "mmHg")).toBe("mmHg");
    expect(asUnit("pressure", "°F")).toBeNull();
    expect(asUnit("temperature", null)).toBeNull();
  });

  it("is that of the bridge's table by default", () => {
    expect(unitsOf([])).toEqual(STORED_UNITS);
    const table = [{ unit: "°C", shownUnit: "°F" }, { unit: "hPa", shownUnit: "furlong" }, { unit: "ppb", shownUnit: "µg/m³" }];
    expect(unitsOf(table)).toEqual({ temperature: "°F", pressure: "hPa", gases: "µg/m³" });
  });

  it("has the stored unit first", () => {
    for (const [quantity, unit] of Object.entries(STORED_UNITS)) expect(UNITS[quantity as keyof Units][0]).toBe(unit);
  });
});
