import { expect, test } from "vitest";

import { Device } from "../devices/device";
import type { Bucket } from "../wire";
import { BucketHistory } from "./bucket-history";
import { MAX_SERIES, aligned, later, meanColumns, roomKey, seriesOf } from "./series";

function device(id: string, room: string | null, fields: readonly string[] = ["co2"]): Device {
  const made = new Device(id);
  const values = new Map(fields.map((name) => [name, 500]));
  made.applyRecord({
    id, name: null, type: null, site: null, room, partOf: null, status: null, statusAt: null, connection: null, lastSeen: null, createdAt: null,
    expectedInterval: null, interval: null, retiredAt: null, state: new Map(),
    lastReading: { id: `${id}-1`, deviceId: id, measuredAt: 1, receivedAt: 1, seq: 1, values, quality: new Map(), retained: false, aqiScale: "" },
  });
  return made;
}

const devices = new Map([device("a", "Office"), device("b", "Office"), device("c", "Hall", ["noise"]), device("@x", null)].map((one) => [one.id, one]));
const bucket = (start: number, mean: number): Bucket => ({ deviceId: "", start, fields: new Map([["co2", { min: mean - 1, mean, max: mean + 1, count: 1 }]]) });

test("a series is a device or the devices of a room that have the measurement; others are left out", () => {
  const found = seriesOf(["a", roomKey("Office"), roomKey("Hall"), "nobody", "@x"], devices, "co2");
  expect(found.map(({ key, label, devices: own }) => [key, label, own.map(({ id }) => id)])).toEqual([
    ["a", "a", ["a"]],
    ["@Office", "Office", ["a", "b"]],
    ["@x", "@x", ["@x"]],
  ]);
});

test("at most eight series are shown", () => {
  const many = new Map(Array.from({ length: 20 }, (_, n) => [`d${n}`, device(`d${n}`, null)] as const));
  expect(seriesOf([...many.keys()], many, "co2")).toHaveLength(MAX_SERIES);
});

test("a room has the mean of its devices, each counted once, and their lowest and highest values", () => {
  const one = new BucketHistory(60_000, [bucket(0, 400), bucket(60_000, 500)]);
  const other = new BucketHistory(60_000, [bucket(60_000, 700)]);
  const { times, mean, min, max } = meanColumns([{ history: one, intervalMs: 60_000 }, { history: other, intervalMs: 60_000 }], "co2");
  expect([times, mean, min, max]).toEqual([[0, 60], [400, 600], [399, 499], [401, 701]]);
  expect(meanColumns([], "co2").times).toEqual([]);
});

test("series on one axis keep their gaps and do not break each other's lines", () => {
  const one = { times: [1, 2, 3], mean: [10, null, 30], min: [], max: [] };
  const other = later({ times: [0.5, 2], mean: [1, 2], min: [], max: [] }, 500);
  expect(aligned([one, other])).toEqual([
    [1, 2, 2.5, 3],
    [10, null, undefined, 30],
    [1, undefined, 2, undefined],
  ]);
});
