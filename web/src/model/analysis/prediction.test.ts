import { describe, expect, test } from "vitest";

import { DAY, HOUR, MINUTE, fixed, live } from "../history/time-range";
import { NOON } from "../testing";
import type { Prediction } from "./prediction";
import { aheadOf, fanOf, hoursAhead, isShown, parsePrediction, parsePredictions } from "./prediction";

const iso = (at: number): string => new Date(at).toISOString();

function prediction(over: Record<string, unknown> = {}): Prediction {
  const values = Array.from({ length: 6 }, (_, n) => ({ at: iso(NOON + n * HOUR), mean: 600 + 100 * n, low: 500, high: 800 + 200 * n }));
  const parsed = parsePrediction({ deviceId: "office", field: "co2", unit: "ppm", model: "profile", level: 0.9, values, days: 30, error30d: 22, ofPersistence30d: 0.6, coverage30d: 0.9, ...over });
  if (parsed === null) throw new Error("not a prediction");
  return parsed;
}

describe("a prediction", () => {
  test.each([
    ["no object", null],
    ["no device", { field: "co2", model: "profile" }],
    ["a model that the page does not know", { deviceId: "office", field: "co2", model: "prophet" }],
  ])("is not read from %s", (_, body) => {
    expect(parsePredictions({ predictions: [body] })).toEqual([]);
  });

  test("has its hours by time, without those that are no numbers", () => {
    const values = [{ at: iso(NOON + HOUR), mean: 2, low: 1, high: 3 }, { at: iso(NOON), mean: 1, low: 0, high: 2 }, { at: iso(NOON), mean: "x", low: 0, high: 2 }];
    expect(prediction({ values }).hours.map(({ mean }) => mean)).toEqual([1, 2]);
  });

  test.each([
    ["profile", NOON, true],
    ["profile", NOON + 6 * HOUR - 1, true],
    ["profile", NOON + 6 * HOUR, false],
    ["persistence", NOON, false],
    ["learning", NOON, false],
  ])("of %s is shown until its last hour is over", (model, now, shown) => {
    expect(isShown(prediction({ model }), now)).toBe(shown);
    expect(fanOf(prediction({ model }), now).times.length > 0).toBe(shown);
  });

  test("has the hours ahead, the current one included", () => {
    expect(hoursAhead(prediction(), NOON + 90 * MINUTE).map(({ at }) => at - NOON)).toEqual([1, 2, 3, 4, 5].map((n) => n * HOUR));
  });
});

describe("the fan", () => {
  test("begins now, passes the middles of the hours, and ends with the last hour", () => {
    const now = NOON + 5 * MINUTE;
    const { times, mean, low, high } = fanOf(prediction(), now);
    expect([times[0], times.at(-1)]).toEqual([now / 1000, (NOON + 6 * HOUR) / 1000]);
    const at = (hour: number): number => times.indexOf((NOON + hour * HOUR) / 1000);
    expect([mean[at(0.5)], mean[at(1)], mean[at(1.5)], mean.at(-1)]).toEqual([600, 650, 700, 1100]);
    expect([mean[0], low[at(3)], high[at(5.5)]]).toEqual([600, 500, 1800]);
  });

  test("has neither holes nor numbers from nowhere at any minute of its time", () => {
    for (let now = NOON; now < NOON + 6 * HOUR; now += 7 * MINUTE) {
      const { times, mean, low, high } = fanOf(prediction(), now);
      expect(times.every((at, n) => n === 0 || at > (times[n - 1] ?? 0))).toBe(true);
      expect([...mean, ...low, ...high].every((value) => value >= 500 && value <= 1800)).toBe(true);
    }
  });
});

test.each([
  ["15 minutes", live(15 * MINUTE), 0],
  ["an hour", live(HOUR), HOUR],
  ["six hours", live(6 * HOUR), 6 * HOUR],
  ["a week", live(7 * DAY), 6 * HOUR],
  ["30 days", live(30 * DAY), 0],
  ["a day that is over", fixed({ from: NOON - 3 * DAY, to: NOON - 2 * DAY }, NOON), 0],
])("a chart of %s reaches so far into the future", (_, range, ahead) => {
  expect(aheadOf(range)).toBe(ahead);
});
