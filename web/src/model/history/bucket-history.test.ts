import { describe, expect, test } from "vitest";

import { NOON, reading } from "../testing";
import type { Bucket } from "../wire";
import { BucketHistory } from "./bucket-history";

const bucket = (start: number, mean: number): Bucket => ({
  deviceId: "kitchen",
  start,
  fields: new Map([["temperature", { min: mean - 1, mean, max: mean + 1, count: 2 }]]),
});

const at = (...seconds: number[]) => seconds.map((second) => bucket(NOON + second * 1000, second));
const means = (history: BucketHistory, intervalMs: number | null = null) => history.columns("temperature", intervalMs).mean;

describe("a line", () => {
  test("connects adjacent buckets, with times in seconds, minimum and maximum", () => {
    const columns = new BucketHistory(10_000, at(0, 10)).columns("temperature", null);
    expect(columns).toEqual({ times: [NOON / 1000, NOON / 1000 + 10], mean: [0, 10], min: [-1, 9], max: [1, 11] });
  });

  test("breaks at an empty bucket of a device with a short interval", () => {
    expect(means(new BucketHistory(60_000, at(0, 60, 180, 240)), 10_000)).toEqual([0, 60, null, 180, 240]);
  });

  test("does not break where a single reading was late", () => {
    expect(means(new BucketHistory(10_000, at(0, 10, 30, 40)), 10_000)).toEqual([0, 10, 30, 40]);
  });

  test("does not break between readings of a device with a long interval", () => {
    expect(means(new BucketHistory(1000, at(0, 30, 60, 90, 120)), 30_000)).not.toContain(null);
  });

  test("uses the surrounding pauses where the device used to send less often", () => {
    const history = new BucketHistory(5000, at(0, 30, 60, 90, 120, 150, 155, 160, 165, 170, 175, 180, 185, 300, 305));
    expect(means(history, 2000)).toEqual([0, 30, 60, 90, 120, 150, 155, 160, 165, 170, 175, 180, 185, null, 300, 305]);
  });

  test("is empty for a missing field", () => {
    expect(new BucketHistory(1000, at(0)).columns("humidity", null).times).toEqual([]);
  });
});

describe("a live reading", () => {
  test("is added to its bucket once", () => {
    const history = new BucketHistory(10_000, at(0));
    const one = reading(5, { temperature: 3 });
    history.add(one);
    history.add(one);
    expect(history.columns("temperature", null)).toMatchObject({ mean: [1], min: [-1], max: [3] });
  });

  test("counts booleans as one and zero", () => {
    const history = new BucketHistory(1000);
    history.add(reading(1, { flameDetected: false }));
    history.add(reading(2, { flameDetected: true }));
    expect(history.columns("flameDetected", null)).toMatchObject({ min: [0], max: [1] });
  });

  test("that is late is inserted in order", () => {
    const history = new BucketHistory(1000);
    history.add(reading(1, { temperature: 2 }, { measuredAt: NOON + 1000 }));
    history.add(reading(2, { temperature: 1 }, { measuredAt: NOON }));
    expect(means(history)).toEqual([1, 2]);
  });

  test("eventually pushes out old buckets", () => {
    const history = new BucketHistory(1000, at(...Array.from({ length: 50 }, (_, n) => n)));
    history.trim(NOON + 40_000, 100);
    expect(history.size).toBe(50);
    history.trim(NOON + 40_000, 20);
    expect(history.size).toBe(10);
  });
});
