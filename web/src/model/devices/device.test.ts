import { beforeEach, describe, expect, test } from "vitest";

import { Fleet, MOST_DEVICES } from "./fleet";
import { headlines } from "./primary-values";
import { NOON, TABLE, device, reading, record } from "../testing";

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});

const kitchen = () => fleet.devices.get("kitchen");
const shown = (name: string) => kitchen()?.entries.get(name);

describe("a device", () => {
  test("shows the newest value of each field, whichever reading brought it", () => {
    fleet.hear(reading(1, { temperature: 20, humidity: 40 }));
    fleet.hear(reading(2, { temperature: 21 }));
    expect([shown("temperature")?.value, shown("humidity")?.value]).toEqual([21, 40]);
    expect(shown("humidity")?.measuredAt).toBe(NOON + 1);
  });

  test("keeps its newer value when an older reading comes late", () => {
    fleet.hear(reading(1, { temperature: 21 }));
    fleet.hear(reading(2, { temperature: 5, humidity: 40 }, { measuredAt: NOON - 9000 }));
    expect([shown("temperature")?.value, shown("humidity")?.value]).toEqual([21, 40]);
    expect(kitchen()?.measuredAt).toBe(NOON + 1);
  });

  test("shows no value where the newest one was refused, and loses the flag with the next good one", () => {
    fleet.hear(reading(1, { temperature: 20, humidity: 40 }));
    fleet.hear(reading(2, { humidity: 41 }, { quality: new Map([["temperature", "not a number"]]) }));
    expect(shown("temperature")).toMatchObject({ value: null, flag: "not a number" });
    fleet.hear(reading(3, { temperature: 22 }));
    expect(shown("temperature")).toMatchObject({ value: 22, flag: "" });
  });

  test("carries the flag of its clock until a reading without it", () => {
    fleet.hear(reading(1, { temperature: 20 }, { quality: new Map([["timestamp", "not a time"]]) }));
    expect(kitchen()?.clockFlag).toBe("not a time");
    expect(kitchen()?.entries.has("timestamp")).toBe(false);
    fleet.hear(reading(2, { temperature: 20 }));
    expect(kitchen()?.clockFlag).toBe("");
  });

  test("may have a status before any reading, and loses it with the connection", () => {
    fleet.setStatus("kitchen", "online", NOON);
    expect([kitchen()?.presence, kitchen()?.measuredAt]).toEqual(["online", null]);
    fleet.forgetStatuses();
    expect(kitchen()?.presence).toBe("unknown");
  });

  test("is there with a status of its own words", () => {
    fleet.setStatus("kitchen", "работает", NOON);
    expect(kitchen()?.presence).toBe("online");
  });

  test("has a value that lags when its other fields are much newer", () => {
    fleet.hear(reading(1, { temperature: 20 }));
    fleet.hear(reading(2, { humidity: 40 }, { measuredAt: NOON + 120_000 }));
    const entries = kitchen()?.entries;
    expect([...(entries?.values() ?? [])].map((entry) => kitchen()?.isLagging(entry))).toEqual([true, false]);
  });

  test("may be named like a part of the language", () => {
    fleet.hear(reading(1, { temperature: 20 }, { deviceId: "__proto__" }));
    expect(fleet.devices.get("__proto__")?.entries.get("temperature")?.value).toBe(20);
  });
});

describe("the fleet", () => {
  test("loses the longest silent device when there are too many", () => {
    for (let n = 0; n < MOST_DEVICES; n += 1) fleet.hear(reading(n, { temperature: n }, { deviceId: `d${n}` }));
    fleet.hear(reading(5000, { temperature: 1 }, { deviceId: "d0" }));
    fleet.takeChanged();
    fleet.hear(reading(5001, { temperature: 1 }, { deviceId: "new" }));
    expect(fleet.devices.size).toBe(MOST_DEVICES);
    expect([fleet.devices.has("d0"), fleet.devices.has("d1")]).toEqual([true, false]);
    expect([...fleet.takeChanged()]).toEqual(["new", "d1"]);
  });

  test("forgets what the registry has no more", () => {
    fleet.load([record("a"), record("b")]);
    fleet.load([record("b", { name: "Bath" })]);
    expect([...fleet.devices.values()].map(({ name }) => name)).toEqual(["Bath"]);
  });

  test("tells its changes once", () => {
    fleet.hear(reading(1, { temperature: 1 }));
    expect([...fleet.takeChanged()]).toEqual(["kitchen"]);
    expect([...fleet.takeChanged()]).toEqual([]);
  });
});

describe("the values a card shows", () => {
  const names = (id: string) => headlines(fleet.devices.get(id) ?? device(id), TABLE).map(({ measurement }) => measurement.name);

  test("are the few that people look for first", () => {
    fleet.hear(reading(1, { battery: 80, coPpm: 1, tvoc: 2, pm25: 3, humidity: 40, temperature: 20, co2: 600, flameDetected: false }));
    expect(names("kitchen")).toEqual(["co2", "temperature", "humidity", "pm25"]);
  });

  test("have a place for one with something wrong, and keep their order", () => {
    const values = { coPpm: 5000, tvoc: 2, pm25: 3, humidity: 40, temperature: 20, co2: 600 };
    fleet.hear(reading(1, values, { quality: new Map([["coPpm", "outside 0..1000"]]) }));
    expect(names("kitchen")).toEqual(["co2", "temperature", "humidity", "coPpm"]);
  });

  test("are whatever there is, where there is nothing else", () => {
    fleet.hear(reading(1, { flameDetected: false, battery: 5 }));
    expect(names("kitchen")).toEqual(["flameDetected", "battery"]);
  });
});
