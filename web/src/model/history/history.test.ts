import { describe, expect, test } from "vitest";

import { History } from "./history";
import { NOON, reading } from "../testing";
import type { Bucket } from "../wire";

const bucket = (start: number, mean: number): Bucket => ({
  deviceId: "kitchen",
  start,
  fields: new Map([["temperature", { min: mean - 1, mean, max: mean + 1, count: 2 }]]),
});

const at = (...seconds: number[]) => seconds.map((second) => bucket(NOON + second * 1000, second));
const means = (history: History, intervalMs: number | null = null) => history.columns("temperature", intervalMs).mean;

describe("a line", () => {
  test("goes on over buckets that follow each other, in seconds, with lowest and highest", () => {
    const columns = new History(10_000, at(0, 10)).columns("temperature", null);
    expect(columns).toEqual({ times: [NOON / 1000, NOON / 1000 + 10], mean: [0, 10], min: [-1, 9], max: [1, 11] });
  });

  test("breaks at an empty bucket of a device that sends often", () => {
    expect(means(new History(60_000, at(0, 60, 180, 240)), 10_000)).toEqual([0, 60, null, 180, 240]);
  });

  test("does not break where one reading of many came late", () => {
    expect(means(new History(10_000, at(0, 10, 30, 40)), 10_000)).toEqual([0, 10, 30, 40]);
  });

  test("does not break between readings of a device that sends seldom", () => {
    expect(means(new History(1000, at(0, 30, 60, 90, 120)), 30_000)).not.toContain(null);
  });

  test("goes by the pauses around, where a device once sent less often than now", () => {
    const history = new History(5000, at(0, 30, 60, 90, 120, 150, 155, 160, 165, 170, 175, 180, 185, 300, 305));
    expect(means(history, 2000)).toEqual([0, 30, 60, 90, 120, 150, 155, 160, 165, 170, 175, 180, 185, null, 300, 305]);
  });

  test("is empty for a field that is not there", () => {
    expect(new History(1000, at(0)).columns("humidity", null).times).toEqual([]);
  });
});

describe("live", () => {
  test("a reading joins its bucket, once", () => {
    const history = new History(10_000, at(0));
    const one = reading(5, { temperature: 3 });
    history.add(one);
    history.add(one);
    expect(history.columns("temperature", null)).toMatchObject({ mean: [1], min: [-1], max: [3] });
  });

  test("yes and no are one and zero", () => {
    const history = new History(1000);
    history.add(reading(1, { flameDetected: false }));
    history.add(reading(2, { flameDetected: true }));
    expect(history.columns("flameDetected", null)).toMatchObject({ min: [0], max: [1] });
  });

  test("an older reading that comes late takes its place", () => {
    const history = new History(1000);
    history.add(reading(1, { temperature: 2 }, { measuredAt: NOON + 1000 }));
    history.add(reading(2, { temperature: 1 }, { measuredAt: NOON }));
    expect(means(history)).toEqual([1, 2]);
  });

  test("what is long out of sight is let go", () => {
    const history = new History(1000, at(...Array.from({ length: 50 }, (_, n) => n)));
    history.trim(NOON + 40_000, 100);
    expect(history.size).toBe(50);
    history.trim(NOON + 40_000, 20);
    expect(history.size).toBe(10);
  });
});
