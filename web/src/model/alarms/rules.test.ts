import { describe, expect, test } from "vitest";

import { device } from "../testing";
import { extendedRange, limitsOf, nearLimits, parseRules, parseRulesFileError } from "./rules";

const rule = (over: Record<string, unknown> = {}) => ({
  id: "co-ceiling", field: "coPpm", unit: "ppm", condition: { kind: "above", limit: 200, clear: 150 }, averaging: null, limit: 200,
  priority: "critical", latched: true, twoOfThree: true, onDelaySeconds: 0, offDelaySeconds: 0, standard: "standard.niosh", source: "NIOSH",
  message: "", advice: "", scope: null, ...over,
});
const limits = (over: Record<string, unknown>, one = device("kitchen"), name = "coPpm") =>
  limitsOf(parseRules({ rules: [rule(over)] }), one, name).map(({ at, clear }) => [at, clear]);

describe("the limits on a chart", () => {
  test("are those of the field, with the end of their deadband", () => {
    expect(limits({})).toEqual([[200, 150]]);
    expect(limits({}, device("kitchen"), "co2")).toEqual([]);
    expect(limits({ condition: { kind: "below" }, limit: 15, clear: 20 })).toEqual([[15, 20]]);
    expect(limits({ limit: null, clear: null })).toEqual([[200, 150]]);
  });

  test("are two for a value that must be within a range", () => {
    expect(limits({ condition: { kind: "outside", low: 10, high: 30, clear: 1 }, limit: null, clear: null })).toEqual([[10, 11], [30, 29]]);
  });

  test.each([
    [{ condition: { kind: "dose" } }],
    [{ condition: { kind: "later", limit: 5 } }],
    [{ condition: null }],
    [{ enabled: false }],
    [{ field: null }],
    [{ priority: "apocalyptic" }],
    [{ condition: { kind: "above" }, limit: "200", clear: null }],
  ])("are none with %j", (over) => {
    expect(limits(over)).toEqual([]);
  });

  test("hold only where the rule does", () => {
    const cellar = device("co-cellar-1", { site: "Home", room: "Cellar" });
    expect(limits({ scope: { devices: ["co-*-?"], rooms: ["Cellar"], sites: [] } }, cellar)).toHaveLength(1);
    expect(limits({ scope: { devices: ["co-?"] } }, cellar)).toEqual([]);
    expect(limits({ scope: { rooms: ["Attic"] } }, cellar)).toEqual([]);
    expect(limits({ scope: { sites: ["Home"] } }, device("co-1"))).toEqual([]);
    expect(limits({ scope: { devices: [`${"*a".repeat(30)}b`] } }, device("a".repeat(200)))).toEqual([]);
  });

  test("say whether they judge single values", () => {
    const parsed = parseRules({ rules: [rule(), rule({ id: "co-8h", averaging: { kind: "mean", minutes: 480 } })] });
    expect(limitsOf(parsed, device("a"), "coPpm").map(({ isOfSingleValues }) => isOfSingleValues)).toEqual([true, false]);
  });
});

describe("the range of a chart", () => {
  const at = (...values: number[]) => values.map((one) => ({ at: one, clear: one }));

  test("reaches to limits that are near", () => {
    expect(extendedRange(at(200), 120, 180)).toEqual([120, 200]);
    expect(extendedRange(at(15), 20, 90)).toEqual([15, 90]);
  });

  test("leaves out limits that are far, which would make a line of the values", () => {
    expect(extendedRange(at(4400, 8800), 2, 5)).toEqual([2, 5]);
    expect(nearLimits(at(57, 30), 18, 23)).toEqual(at(30));
  });
});

test("the mistakes of the rules file are a line each; without any the text is empty", () => {
  expect(parseRulesFileError({ rules: [], file: { error: "x.toml: rules.a\nx.toml: rules.b" } })).toBe("x.toml: rules.a\nx.toml: rules.b");
  for (const body of [{ file: { error: null } }, { rules: [] }, null]) expect(parseRulesFileError(body)).toBe("");
});
