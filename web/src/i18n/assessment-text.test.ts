import { afterEach, describe, expect, test } from "vitest";

import { NOON, TABLE, judged, reportOn } from "../model/testing";
import { setLanguage } from ".";
import { adviceText, figureText, indexText, levelText, measuredText, smallPrint } from "./assessment-text";

const complete = (over: Record<string, unknown> = {}) => {
  const [one] = reportOn("kitchen", NOON, judged("index.co2", 2, over)).assessments;
  if (!one?.complete) throw new Error("not complete");
  return one;
};

afterEach(async () => setLanguage("en"));

describe("the words of an assessment", () => {
  test("are those of its keys, in the language of the page", async () => {
    const one = complete({ value: 1340, unit: "unit.ppm", advice: "advice.co2.elevated", caveat: "caveat.eco2" });
    const words = () => [indexText(one, TABLE), levelText(one), adviceText(one), figureText(one)?.join(" ")];
    expect(words()).toEqual(["Carbon dioxide", "Elevated", "Open a window or increase the ventilation.", "1,340 ppm"]);
    expect(smallPrint(one)).toBe("German guide values for CO₂ indoors, UBA (2008); latest reading. An estimate: the sensor measures organic compounds, not CO₂.");
    await setLanguage("es");
    expect(levelText(one)).toBe("Elevado");
  });

  test("are neutral for keys that this page does not know", () => {
    const one = complete({ key: "index.later", levelKey: "level.later", advice: "advice.later", standard: "standard.later", averaging: "averaging.later", unit: "unit.later", caveat: "caveat.later" });
    expect(indexText(one, TABLE)).toBe("co2");
    expect(indexText({ ...one, field: "later" }, TABLE)).toBe("Not known to this page");
    expect([levelText(one), adviceText(one)]).toEqual(["Level 2 of 5", null]);
    expect(smallPrint(one)).toBe("A standard that this page does not know.");
    expect(figureText(one)).toEqual(["3", null]);
  });

  test.each(["auth.login", "constructor", "toString", ""])("are never other texts of the page, such as %j", (levelKey) => {
    expect(levelText(complete({ levelKey }))).toBe("Level 2 of 5");
  });

  test("name no advice where nothing is to be done", () => {
    expect(adviceText(complete({ advice: "advice.none" }))).toBeNull();
  });

  test("name the concentration behind an index", () => {
    const table = TABLE.map((one) => ({ ...one, unit: one.name === "co2" ? "ppm" : "" }));
    expect(measuredText(complete({ value: 101, measured: 35.5 }), table)).toBe("35.5 ppm");
    expect(measuredText(complete({ value: 35.5, measured: 35.5 }), table)).toBeNull();
  });
});
