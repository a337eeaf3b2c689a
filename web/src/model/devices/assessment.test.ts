import { describe, expect, test } from "vitest";

import { judged } from "../testing";
import { parseReport, parseReports } from "./assessment";

const AT = "2026-01-15T12:00:00.000Z";
const report = (...assessments: unknown[]) => parseReport({ deviceId: "kitchen", at: AT, assessments });

describe("an assessment from the bridge", () => {
  test("is taken as it was sent", () => {
    const sent = judged("index.co2", 2, { value: 1340, unit: "unit.ppm", field: "co2", levelKey: "level.co2.elevated" });
    expect(parseReports({ assessments: [{ deviceId: "kitchen", at: AT, scale: "us-epa", score: 55, assessments: [sent] }] })).toEqual([
      { deviceId: "kitchen", scale: "us-epa", at: Date.parse(AT), assessments: [{ ...sent, complete: true, minutesLeft: null }] },
    ]);
  });

  test("is pending while hours are missing", () => {
    const [one] = report({ key: "index.aqi.co", level: null, value: null, levelKey: "level.pending", order: -1, hoursNeeded: 5 })?.assessments ?? [];
    expect(one).toMatchObject({ key: "index.aqi.co", complete: false, hoursNeeded: 5 });
  });

  test("keeps keys that this page does not know, and levels within its scale", () => {
    const [one] = report(judged("index.later", 9, { levelKey: "level.later", order: 12 }))?.assessments ?? [];
    expect(one).toMatchObject({ key: "index.later", levelKey: "level.later", level: 5, order: 7 });
  });

  test.each([[null], [{}], [{ deviceId: "kitchen" }], [{ deviceId: "kitchen", at: "soon" }], [{ deviceId: 7, at: AT }]])("%j is no report", (body) => {
    expect(parseReport(body)).toBeNull();
  });

  test.each([[null], [7], [{}], [{ key: 7 }], [[]]])("%j is not listed", (body) => {
    expect(report(body, judged("index.co2", 0))?.assessments).toHaveLength(1);
  });

  test("of the wrong types reads as missing values", () => {
    const [one] = report({ key: "index.co2", level: "5", value: "2500", caveat: 7, hoursNeeded: "3" })?.assessments ?? [];
    expect(one).toMatchObject({ complete: false, hoursNeeded: 0, caveat: null, standard: "", unit: null });
  });

  test("of a huge list is cut", () => {
    expect(report(...Array.from({ length: 1000 }, (_, number) => judged(`index.${number}`, 0)))?.assessments).toHaveLength(64);
  });
});
