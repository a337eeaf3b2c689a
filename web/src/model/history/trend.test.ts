import { describe, expect, test } from "vitest";

import { NOON, reading } from "../testing";
import { SLOTS, SLOT_MS, Trend, Trends, direction, sparkRange } from "./trend";

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

test.each([
  [[...Array(25).fill(20), ...Array(5).fill(22)], "rising"],
  [[...Array(25).fill(20), ...Array(5).fill(18)], "falling"],
  [[...Array(25).fill(20), ...Array(5).fill(20.2)], "steady"],
  [[...Array(25).fill(Number.NaN), ...Array(5).fill(20)], null],
])("the direction compares the last ten minutes with the hour", (points, expected) => {
  expect(direction("temperature", points)).toBe(expected);
});
