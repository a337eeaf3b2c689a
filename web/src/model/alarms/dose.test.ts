import { expect, test } from "vitest";

import { NOON, judged, reportOn } from "../testing";
import { dashes, doseRing } from "./dose";

const ring = (...assessments: unknown[]) => doseRing(reportOn("kitchen", NOON, ...assessments).assessments);

test("the ring is the bridge's dose, with the time that is left", () => {
  expect(ring(judged("index.co.now", 2), judged("index.co.dose", 2, { value: 40, unit: "unit.percent", minutesLeft: 21.5 }))).toEqual({ share: 0.4, minutesLeft: 21.5 });
});

test("no time is left when the ring is full, and none is said when the bridge says none", () => {
  expect(ring(judged("index.co.dose", 5, { value: 100, minutesLeft: 3 }))).toEqual({ share: 1, minutesLeft: null });
  expect(ring(judged("index.co.dose", 2, { value: 12 }))).toEqual({ share: 0.12, minutesLeft: null });
  expect(ring(judged("index.co.dose", 5, { value: 250 }))?.share).toBe(1);
});

test.each([[[]], [[judged("index.co.now", 3)]], [[judged("index.co.dose", 2, { value: true })]], [[judged("index.co.dose", 2, { value: null, level: null })]]])(
  "there is no ring without a dose (%#)",
  (assessments) => {
    expect(ring(...assessments)).toBeNull();
  },
);

test("the arc is the share of the circumference", () => {
  const [drawn, rest] = dashes(0.25, 10);
  expect(drawn).toBeCloseTo(5 * Math.PI);
  expect(drawn + rest).toBeCloseTo(20 * Math.PI);
});
