import { beforeEach, describe, expect, test } from "vitest";

import { FEED_LENGTH, Feed, filterFeed, groupFeed, newestPerDevice, toRecord } from "./feed";
import { NOON, reading } from "./testing";

let feed: Feed;
beforeEach(() => {
  feed = new Feed();
});

const ids = () => feed.items.map(({ id }) => id);

test("the newest reading comes first, and duplicates are dropped", () => {
  for (const seq of [1, 3, 2, 3]) feed.add(reading(seq, { temperature: seq }));
  expect(ids()).toEqual(["r3", "r2", "r1"]);
});

test("only the newest readings are kept; an older one is not added", () => {
  for (let seq = 1; seq <= FEED_LENGTH + 5; seq += 1) feed.add(reading(seq, { temperature: seq }));
  expect(feed.add(reading(0, { temperature: 0 }))).toBe(false);
  expect(ids()).toHaveLength(FEED_LENGTH);
  expect([ids()[0], ids().at(-1)]).toEqual([`r${FEED_LENGTH + 5}`, "r6"]);
});

test("a gap is placed between its neighbours", () => {
  feed.add(reading(1, { temperature: 1 }));
  feed.add(reading(9, { temperature: 9 }));
  feed.addGap(1, 8, 7);
  expect(ids()).toEqual(["r9", "gap 1 8", "r1"]);
});

describe("the feed filter", () => {
  beforeEach(() => {
    feed.add(reading(1, { temperature: 1 }));
    feed.add(reading(2, { humidity: 2 }, { deviceId: "Attic" }));
    feed.add(reading(3, { humidity: 3 }, { quality: new Map([["temperature", "not a number"]]) }));
    feed.addGap(3, 4, null);
  });

  const found = (device: string, field: string, most = 10) => filterFeed(feed.items, { device, field }, most).map(({ id }) => id);

  test("matches device ids by part, ignoring case and spaces", () => expect(found(" att ", "")).toEqual(["gap 3 4", "r2"]));
  test("matches a field by value or flag", () => expect(found("", "temperature")).toEqual(["gap 3 4", "r3", "r1"]));
  test("returns at most the limit", () => expect(found("", "", 2)).toEqual(["gap 3 4", "r3"]));
});

describe("the feed by device", () => {
  beforeEach(() => {
    for (let seq = 1; seq <= 4; seq += 1) feed.add(reading(seq, { temperature: seq }));
    feed.add(reading(5, { humidity: 5 }, { deviceId: "attic" }));
    feed.addGap(5, 6, 1);
  });

  const newest = (perDevice: number, limit: number) => newestPerDevice(feed.items, perDevice, limit).map(({ id }) => id);

  test("has the newest readings of each device, newest first", () => {
    const groups = groupFeed(newestPerDevice(feed.items, 3, 10));
    expect(groups.map(({ deviceId, readings }) => [deviceId, readings.map(({ id }) => id)])).toEqual([["attic", ["r5"]], ["kitchen", ["r4", "r3", "r2"]]]);
  });
  test("has fewer of each when there are many devices", () => expect(newest(3, 4)).toEqual(["gap 5 6", "r5", "r4", "r3"]));
  test("has the devices that sent last when there are too many", () => expect(newest(3, 2)).toEqual(["gap 5 6", "r5"]));
});

test("a reading is copied in the bridge's JSON format", () => {
  const quality = new Map([["humidity", "not a number"]]);
  expect(toRecord(reading(7, { temperature: 0, flameDetected: false }, { quality, retained: true, measuredAt: NOON }))).toEqual({
    _id: "r7",
    temperature: 0,
    flameDetected: false,
    timestamp: "2026-01-15T12:00:00.000Z",
    deviceId: "kitchen",
    seq: 7,
    quality: { humidity: "not a number" },
    retained: true,
  });
});
