import { describe, expect, test } from "vitest";

import { NOON, reading } from "../testing";
import { SLOTS, SLOT_MS, Trend, Trends, direction, linesOf, sparkRange } from "./trend";

const slotsAgo = (slots: number) => NOON - slots * SLOT_MS;

describe("a trend", () => {
  test("has a mean for each two minutes of the last hour, NaN without readings", () => {
    const trend = new Trend(NOON);
    trend.add(slotsAgo(0), 10);
    trend.add(slotsAgo(0), 20);
    trend.add(slotsAgo(2), 5, 3);
    const points = trend.points(NOON);
    expect(points).toHaveLength(SLOTS);
    expect(points.slice(-3)).toEqual([5, Number.NaN, 15]);
  });

  test("moves with time and drops what is older than an hour", () => {
    const trend = new Trend(NOON);
    trend.add(NOON, 1);
    expect(trend.points(NOON + 29 * SLOT_MS)[0]).toBe(1);
    expect(trend.points(NOON + 30 * SLOT_MS).every(Number.isNaN)).toBe(true);
    trend.add(slotsAgo(10), 7);
    expect(trend.points(NOON + 30 * SLOT_MS).every(Number.isNaN)).toBe(true);
  });

  test("starts when its history is loaded", () => {
    const trends = new Trends();
    trends.add(reading(1, { temperature: 1 }), NOON);
    expect(trends.has("kitchen")).toBe(false);
    trends.load(["kitchen"], [], NOON);
    trends.add(reading(1, { temperature: 1, flameDetected: true }), NOON);
    expect(trends.of("kitchen", "temperature")?.points(NOON).at(-1)).toBe(1);
    expect(trends.of("kitchen", "flameDetected")).toBeUndefined();
  });

  test("ignores readings far in the future", () => {
    const trends = new Trends();
    trends.load(["kitchen"], [], NOON);
    trends.add(reading(1, { temperature: 1 }, { measuredAt: NOON + 10 * SLOT_MS }), NOON);
    expect(trends.of("kitchen", "temperature")).toBeUndefined();
  });
});

test("a sparkline has a minimum range, so noise stays flat", () => {
  expect(sparkRange("temperature", [21, 21.1, Number.NaN])).toEqual([20.55, 21.55]);
  expect(sparkRange("temperature", [20, 25])).toEqual([20, 25]);
  expect(sparkRange("temperature", [Number.NaN])).toBeNull();
});

describe("the line of a sparkline", () => {
  const MINUTE = 60_000;
  const slots = (points: readonly number[], intervalMs: number | null) => linesOf(points, intervalMs).map((line) => line.map(([slot]) => slot));
  const every = (step: number, length = 12) => Array.from({ length }, (_, n) => (n % step === 0 ? n : Number.NaN));

  test("joins the points of a sensor that is slower than they are", () => {
    expect(slots(every(3), 5 * MINUTE)).toEqual([[0, 3, 6, 9]]);
    expect(slots(every(3), null)).toEqual([[0, 3, 6, 9]]);
    expect(slots(every(10, 30), 20 * MINUTE)).toEqual([[0, 10, 20]]);
  });

  test("has a gap where readings are missing", () => {
    const broken = [1, 2, Number.NaN, 4, 5];
    expect(slots(broken, 2000)).toEqual([[0, 1], [3, 4]]);
    expect(slots(broken, 2 * MINUTE)).toEqual([[0, 1, 3, 4]]);
    expect(slots([1, 1, 1, ...Array<number>(8).fill(Number.NaN), 1, 1], null)).toEqual([[0, 1, 2], [11, 12]]);
  });

  test("may be a single point, or nothing", () => {
    expect(slots([Number.NaN, 1], null)).toEqual([[1]]);
    expect(slots([Number.NaN], 2000)).toEqual([]);
  });
});

test.each([
  [[...Array(25).fill(20), ...Array(5).fill(22)], "rising"],
  [[...Array(25).fill(20), ...Array(5).fill(18)], "falling"],
  [[...Array(25).fill(20), ...Array(5).fill(20.2)], "steady"],
  [[...Array(25).fill(Number.NaN), ...Array(5).fill(20)], null],
])("the direction compares the last ten minutes with the hour", (points, expected) => {
  expect(direction("temperature", points)).toBe(expected);
});
