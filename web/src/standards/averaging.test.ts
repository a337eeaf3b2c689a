import { describe, expect, test } from "vitest";

import { aqi, truncated } from "./aqi";
import { CO_HOURS, DAY_HOURS, type HourlyMean, type HourlyWindow, lastDay, mean, nowCast } from "./averaging";

const HOUR_MS = 3_600_000;
const NOON = Date.UTC(2026, 0, 15, 12);
const NOW = NOON + 20 * 60_000;

/** The hours that ended before noon, the newest first; null is a gap. */
function hours(means: readonly (number | null)[], count = 360): HourlyMean[] {
  return means.flatMap((value, age) => (value === null ? [] : { startMs: NOON - (age + 1) * HOUR_MS, mean: value, count }));
}

const windowOf = (means: readonly (number | null)[]): HourlyWindow => lastDay(hours(means), NOW);
const same = (value: number, length: number): number[] => new Array<number>(length).fill(value);
const gaps = (length: number): null[] => new Array<null>(length).fill(null);

describe("the window of a day", () => {
  test("starts with the last complete hour and excludes the current one", () => {
    const underWay = { startMs: NOON, mean: 99, count: 360 };
    expect(lastDay([underWay, ...hours([1, 2, 3])], NOW).slice(0, 4)).toEqual([1, 2, 3, null]);
  });

  test("accepts hours in any order and ignores those older than a day", () => {
    const window = lastDay(hours([...same(1, 24), 7, 7]).reverse(), NOW);
    expect(window).toEqual(same(1, 24));
  });

  test("has a gap where an hour has less than 75 % of the usual readings", () => {
    const found = hours([1, 2, 3, 4, 5]);
    const [first, second, ...others] = found as [HourlyMean, HourlyMean, ...HourlyMean[]];
    const window = lastDay([{ ...first, count: 269 }, { ...second, count: 270 }, ...others], NOW);
    expect(window.slice(0, 5)).toEqual([null, 2, 3, 4, 5]);
  });

  test("does not derive the usual count from a partial first hour", () => {
    const [whole, broken] = hours([1, 2]) as [HourlyMean, HourlyMean];
    expect(lastDay([whole, { ...broken, count: 30 }], NOW).slice(0, 2)).toEqual([1, null]);
  });

  test("is complete for a device that measures once an hour", () => {
    expect(lastDay(hours(same(5, 24), 1), NOW)).toEqual(same(5, 24));
  });

  test("accepts zero and rejects NaN and empty hours", () => {
    const [first, second] = hours([0, 0]) as [HourlyMean, HourlyMean];
    expect(lastDay([first, { ...second, mean: Number.NaN }], NOW).slice(0, 2)).toEqual([0, null]);
    expect(lastDay([{ ...first, count: 0 }], NOW)[0]).toBeNull();
  });

  test("is empty without hours", () => {
    expect(lastDay([], NOW)).toEqual(gaps(24));
  });
});

describe("a mean", () => {
  test("over a day needs 18 hours and averages those present", () => {
    expect(mean(windowOf([...same(10, 9), ...gaps(6), ...same(20, 9)]), DAY_HOURS)).toEqual({ value: 15 });
    expect(mean(windowOf(same(10, 17)), DAY_HOURS)).toEqual({ hoursNeeded: 1 });
  });

  test("over eight hours needs six, regardless of earlier hours", () => {
    expect(mean(windowOf([...same(3, 6), null, null, ...same(9, 16)]), CO_HOURS)).toEqual({ value: 3 });
    expect(mean(windowOf([...same(3, 5), ...gaps(3), ...same(9, 16)]), CO_HOURS)).toEqual({ hoursNeeded: 1 });
  });

  test("reports how many hours are needed, allowing for those that will be too old by then", () => {
    expect(mean(windowOf([]), DAY_HOURS)).toEqual({ hoursNeeded: 18 });
    expect(mean(windowOf([null, ...same(1, 5)]), CO_HOURS)).toEqual({ hoursNeeded: 1 });
    expect(mean(windowOf([null, null, null, ...same(1, 5)]), CO_HOURS)).toEqual({ hoursNeeded: 6 });
  });
});

describe("the NowCast", () => {
  // "NowCast formula", EPA AirNow: twelve hours of PM2.5, the newest first.
  const EXAMPLE = [13, 16, 10, 21, 74, 64, 53, 82, 90, 75, 80, 50];

  test("of the EPA's worked example is 17.4 µg/m³", () => {
    const cast = nowCast(windowOf(EXAMPLE));
    expect("value" in cast && truncated("pm25", cast.value)).toBe(17.4);
  });

  test("skips a missing hour without changing the age of the others", () => {
    // The example without its third hour: what is left of both sums, weighted by a half to the power of the age.
    const weighted = EXAMPLE.map((hour, age) => [hour * 0.5 ** age, 0.5 ** age] as const).filter((_, age) => age !== 2);
    const expected = weighted.reduce((sum, [hour]) => sum + hour, 0) / weighted.reduce((sum, [, weight]) => sum + weight, 0);
    const cast = nowCast(windowOf(EXAMPLE.map((hour, age) => (age === 2 ? null : hour))));
    expect("value" in cast && cast.value).toBeCloseTo(expected, 9);
  });

  test("of equal hours is their mean, and of similar hours close to it", () => {
    expect(nowCast(windowOf(same(12, 12)))).toEqual({ value: 12 });
    // 10 and 8 by turns have the weight factor 8 / 10.
    const turns = Array.from({ length: 12 }, (_, age) => (age % 2 ? 8 : 10));
    const weights = turns.map((_, age) => 0.8 ** age);
    const expected = turns.reduce((sum, hour, age) => sum + hour * 0.8 ** age, 0) / weights.reduce((sum, one) => sum + one, 0);
    const cast = nowCast(windowOf(turns));
    expect("value" in cast && cast.value).toBeCloseTo(expected, 9);
  });

  test("of clean air is 0", () => {
    expect(nowCast(windowOf(same(0, 12)))).toEqual({ value: 0 });
  });

  test("ignores hours older than 12", () => {
    expect(nowCast(windowOf([...same(12, 12), ...same(500, 12)]))).toEqual({ value: 12 });
  });

  test.each([
    [[1, 1, null], null],
    [[1, null, 1], null],
    [[null, 1, 1], null],
    [[1, null, null], 1],
    [[null, 1, null], 1],
    [[null, null, 1], 2],
    [[null, null, null], 2],
  ])("of %j before hours without a gap needs %s more", (newest, hoursNeeded) => {
    const cast = nowCast(windowOf([...newest, ...same(1, 9)]));
    expect(cast).toEqual(hoursNeeded === null ? { value: 1 } : { hoursNeeded });
  });

  test("lies between the lowest and highest hour, and does not fall when every hour rises", () => {
    const wrong: number[][] = [];
    let seed = 1;
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let round = 0; round < 500; round++) {
      const hoursNow = Array.from({ length: 12 }, () => 300 * random());
      const cast = nowCast(windowOf(hoursNow));
      const more = nowCast(windowOf(hoursNow.map((hour) => hour * (1 + round / 100))));
      if (!("value" in cast && "value" in more)) throw new Error("twelve hours are enough");
      const between = cast.value >= Math.min(...hoursNow) - 1e-9 && cast.value <= Math.max(...hoursNow) + 1e-9;
      const higher = aqi("pm25", more.value).index >= aqi("pm25", cast.value).index;
      if (!between || !higher) wrong.push(hoursNow);
    }
    expect(wrong).toEqual([]);
  });
});
