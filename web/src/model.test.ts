import { beforeEach, describe, expect, test } from "vitest";

import { FEED_LENGTH, Model, MOST_DEVICES, NOTICE_STAYS_MS } from "./model";
import type { Reading, Value } from "./wire";

const NOON = Date.UTC(2026, 0, 15, 12);

function reading(seq: number, values: Record<string, Value>, over: Partial<Reading> = {}): Reading {
  const filled = new Map(Object.entries(values));
  return { id: `r${seq}`, deviceId: "kitchen", measuredAt: NOON + seq, seq, values: filled, quality: new Map(), ...over };
}

let model: Model;
beforeEach(() => {
  model = new Model();
});

const shown = (name: string) => model.devices.get("kitchen")?.entries.get(name);

describe("a device", () => {
  test("shows the newest value of each field, whichever reading brought it", () => {
    model.addReading(reading(1, { temperature: 20, humidity: 40 }));
    model.addReading(reading(2, { temperature: 21 }));
    expect([shown("temperature")?.value, shown("humidity")?.value]).toEqual([21, 40]);
    expect(shown("humidity")?.measuredAt).toBe(NOON + 1);
  });

  test("keeps its newer value when an older reading comes late", () => {
    model.addReading(reading(1, { temperature: 21 }));
    model.addReading(reading(2, { temperature: 5, humidity: 40 }, { measuredAt: NOON - 9000 }));
    expect([shown("temperature")?.value, shown("humidity")?.value]).toEqual([21, 40]);
    expect(model.devices.get("kitchen")?.measuredAt).toBe(NOON + 1);
  });

  test("shows no value where the newest one was refused, and loses the flag with the next good one", () => {
    model.addReading(reading(1, { temperature: 20, humidity: 40 }));
    model.addReading(reading(2, { humidity: 41 }, { quality: new Map([["temperature", "not a number"]]) }));
    expect(shown("temperature")).toMatchObject({ value: null, flag: "not a number" });
    model.addReading(reading(3, { temperature: 22 }));
    expect(shown("temperature")).toMatchObject({ value: 22, flag: "" });
  });

  test("carries the flag of its clock until a reading without it", () => {
    model.addReading(reading(1, { temperature: 20 }, { quality: new Map([["timestamp", "too far ahead"]]) }));
    expect(model.devices.get("kitchen")?.clockFlag).toBe("too far ahead");
    expect(model.devices.get("kitchen")?.entries.has("timestamp")).toBe(false);
    model.addReading(reading(2, { temperature: 20 }));
    expect(model.devices.get("kitchen")?.clockFlag).toBe("");
  });

  test("may have a status before any reading, and loses it with the connection", () => {
    model.setStatus("kitchen", "online");
    expect(model.devices.get("kitchen")).toMatchObject({ status: "online", measuredAt: null });
    model.setConnection("reconnecting");
    expect(model.devices.get("kitchen")?.status).toBeNull();
  });

  test("may be named like a part of the language", () => {
    model.addReading(reading(1, { temperature: 20 }, { deviceId: "__proto__" }));
    expect(model.devices.get("__proto__")?.entries.get("temperature")?.value).toBe(20);
  });
});

test("when there are too many devices, the longest silent one leaves", () => {
  for (let n = 0; n < MOST_DEVICES; n += 1) model.addReading(reading(n, { temperature: n }, { deviceId: `d${n}` }));
  model.addReading(reading(5000, { temperature: 1 }, { deviceId: "d0" }));
  model.takeChanges();
  model.addReading(reading(5001, { temperature: 1 }, { deviceId: "new" }));
  expect(model.devices.size).toBe(MOST_DEVICES);
  expect([model.devices.has("d0"), model.devices.has("d1")]).toEqual([true, false]);
  expect([...model.takeChanges().devices]).toEqual(["new", "d1"]);
});

describe("the feed", () => {
  const ids = () => model.feed.map(({ id }) => id);

  test("has the newest on top, each reading once", () => {
    for (const seq of [1, 3, 2, 3]) model.addReading(reading(seq, { temperature: seq }));
    expect(ids()).toEqual(["r3", "r2", "r1"]);
  });

  test("keeps the newest ones only", () => {
    for (let seq = 1; seq <= FEED_LENGTH + 5; seq += 1) model.addReading(reading(seq, { temperature: seq }));
    model.takeChanges();
    model.addReading(reading(0, { temperature: 0 }));
    expect(ids()).toHaveLength(FEED_LENGTH);
    expect([ids()[0], ids().at(-1)]).toEqual([`r${FEED_LENGTH + 5}`, "r6"]);
    expect(model.takeChanges().feed).toBe(false);
  });
});

test("changes are taken once", () => {
  model.addLatest([reading(2, { temperature: 2 }), reading(1, { temperature: 1 })]);
  expect(model.takeChanges()).toEqual({ devices: new Set(["kitchen"]), feed: true, page: true });
  expect(model.takeChanges()).toEqual({ devices: new Set(), feed: false, page: false });
  expect(model.loaded).toBe(true);
});

test("the number of clients is unknown without a connection", () => {
  model.setConnection("connected");
  model.setClients(3);
  model.setConnection("reconnecting");
  expect(model.clients).toBeNull();
});

test("a notice leaves after a while", () => {
  model.setNotice({ level: "warning", message: "The store is away.", at: NOON });
  model.expireNotice(NOON + NOTICE_STAYS_MS - 1);
  expect(model.notice).not.toBeNull();
  model.expireNotice(NOON + NOTICE_STAYS_MS);
  expect(model.notice).toBeNull();
});

test("the bridge's clock is followed, but not within the second its header leaves open", () => {
  model.observeBridgeClock(NOON + 1000, NOON);
  expect(model.bridgeTime(NOON)).toBe(NOON);
  model.observeBridgeClock(NOON + 90_000, NOON);
  expect(model.bridgeTime(NOON)).toBe(NOON + 90_000);
});
