import { describe, expect, test } from "vitest";

import { NOON, hourlyBucket } from "../testing";
import { HourlyMeanCache } from "./hourly-mean-cache";

const HOUR = 3_600_000;

describe("the hourly mean cache", () => {
  test("loads the last day once, then only the hours completed since", () => {
    const cache = new HourlyMeanCache();
    expect(cache.isCurrent("kitchen", NOON)).toBe(false);
    expect(cache.missingSince("kitchen", NOON)).toBe(NOON - 25 * HOUR);
    cache.load(["kitchen"], [hourlyBucket(NOON - HOUR, 10)], NOON);
    expect(cache.isCurrent("kitchen", NOON + HOUR - 1)).toBe(true);
    expect(cache.isCurrent("kitchen", NOON + HOUR)).toBe(false);
    expect(cache.missingSince("kitchen", NOON + HOUR)).toBe(NOON - 2 * HOUR);
    cache.load(["kitchen"], [hourlyBucket(NOON - HOUR, 12), hourlyBucket(NOON, 20)], NOON + HOUR);
    expect(cache.of("kitchen")["pm25"]?.map(({ mean }) => mean)).toEqual([12, 20]);
  });

  test("keeps invalidated means until they are reloaded", () => {
    const cache = new HourlyMeanCache();
    cache.load(["kitchen"], [hourlyBucket(NOON - HOUR, 10)], NOON);
    cache.invalidate();
    expect(cache.isCurrent("kitchen", NOON)).toBe(false);
    expect(cache.of("kitchen")["pm25"]).toHaveLength(1);
  });
});
