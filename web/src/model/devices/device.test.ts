import { beforeEach, describe, expect, test } from "vitest";

import { DAY, MINUTE } from "../history/time-range";
import type { Priority } from "../alarms/alarm";
import { NOON, TABLE, device, judged, reading, record, reportOn } from "../testing";
import { AssessmentReports } from "./device-assessment";
import { MAX_DEVICES, Fleet } from "./fleet";
import { judgementsOf } from "./judgement";
import { batteryPercent, primaryValues } from "./primary-values";

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});

const kitchen = () => fleet.devices.get("kitchen");
const shown = (name: string) => kitchen()?.entries.get(name);

describe("a device", () => {
  test("has the newest value of each field across readings", () => {
    fleet.applyReading(reading(1, { temperature: 20, humidity: 40 }));
    fleet.applyReading(reading(2, { temperature: 21 }));
    expect([shown("temperature")?.value, shown("humidity")?.value]).toEqual([21, 40]);
    expect(shown("humidity")?.measuredAt).toBe(NOON + 1);
  });

  test("is neither online nor offline once it is retired", () => {
    fleet.applyRecord(record("kitchen", { status: "offline", retiredAt: NOON }));
    expect([kitchen()?.isRetired, kitchen()?.presence(NOON)]).toEqual([true, "unknown"]);
    fleet.applyRecord(record("kitchen", { status: "offline" }));
    expect([kitchen()?.isRetired, kitchen()?.presence(NOON)]).toEqual([false, "offline"]);
  });

  test("has the state that it reported last, once its record is loaded", () => {
    expect(fleet.setState("kitchen", new Map([["status", "работает"]]))).toBe(false);
    fleet.applyRecord(record("kitchen", { name: "Kitchen" }));
    expect(fleet.setState("kitchen", new Map([["status", "авария"]]))).toBe(true);
    expect([kitchen()?.name, kitchen()?.record?.state.get("status")]).toEqual(["Kitchen", "авария"]);
  });

  test("keeps its newer value when a late reading arrives", () => {
    fleet.applyReading(reading(1, { temperature: 21 }));
    fleet.applyReading(reading(2, { temperature: 5, humidity: 40 }, { measuredAt: NOON - 9000 }));
    expect([shown("temperature")?.value, shown("humidity")?.value]).toEqual([21, 40]);
    expect(kitchen()?.measuredAt).toBe(NOON + 1);
  });

  test("has no value where the newest one was invalid, until the next valid one", () => {
    fleet.applyReading(reading(1, { temperature: 20, humidity: 40 }));
    fleet.applyReading(reading(2, { humidity: 41 }, { quality: new Map([["temperature", "not a number"]]) }));
    expect(shown("temperature")).toMatchObject({ value: null, flag: "not a number" });
    fleet.applyReading(reading(3, { temperature: 22 }));
    expect(shown("temperature")).toMatchObject({ value: 22, flag: "" });
  });

  test("keeps the clock flag until a reading without it", () => {
    fleet.applyReading(reading(1, { temperature: 20 }, { quality: new Map([["timestamp", "not a time"]]) }));
    expect(kitchen()?.clockFlag).toBe("not a time");
    expect(kitchen()?.entries.has("timestamp")).toBe(false);
    fleet.applyReading(reading(2, { temperature: 20 }));
    expect(kitchen()?.clockFlag).toBe("");
  });

  test("may have a status before its first reading, and loses it with the connection", () => {
    fleet.setStatus("kitchen", "online", NOON);
    expect([kitchen()?.presence(NOON), kitchen()?.measuredAt]).toEqual(["online", null]);
    fleet.clearStatuses();
    expect(kitchen()?.presence(NOON)).toBe("unknown");
  });

  test("is online with a custom status text", () => {
    fleet.setStatus("kitchen", "работает", NOON);
    expect(kitchen()?.presence(NOON)).toBe("online");
  });

  test("that sent once is inactive after ten minutes of silence, because nothing says when it sends again", () => {
    const once = device("once", { status: "online", lastReading: reading(0, { temperature: 20 }) });
    expect([0, 10, 11].map((minutes) => once.presence(NOON + minutes * MINUTE))).toEqual(["online", "online", "inactive"]);
    once.applyReading(reading(1, { temperature: 20 }, { receivedAt: NOON + 20 * MINUTE }));
    expect(once.presence(NOON + 25 * MINUTE)).toBe("online");
  });

  test.each([
    ["an expected interval", { expectedInterval: 3600 }],
    ["a learned interval", { interval: 2 }],
    ["a connection of its own", { connection: "mqtt" }],
  ])("with %s is online for as long as the bridge says so", (_, over) => {
    const one = device("one", { status: "online", lastReading: reading(0, { temperature: 20 }), ...over });
    expect(one.presence(NOON + DAY)).toBe("online");
    one.status = "offline";
    expect(one.presence(NOON)).toBe("offline");
  });

  test("was not heard by a retained reading", () => {
    expect(device("a", { lastReading: reading(0, { temperature: 20 }, { retained: true }) }).receivedAt).toBeNull();
  });

  test("has a stale value when its other fields are much newer", () => {
    fleet.applyReading(reading(1, { temperature: 20 }));
    fleet.applyReading(reading(2, { humidity: 40 }, { measuredAt: NOON + 120_000 }));
    const entries = kitchen()?.entries;
    expect([...(entries?.values() ?? [])].map((entry) => kitchen()?.isStale(entry))).toEqual([true, false]);
  });

  test("may be named like an object property", () => {
    fleet.applyReading(reading(1, { temperature: 20 }, { deviceId: "__proto__" }));
    expect(fleet.devices.get("__proto__")?.entries.get("temperature")?.value).toBe(20);
  });
});

describe("the fleet", () => {
  test("drops the longest silent device when there are too many", () => {
    for (let n = 0; n < MAX_DEVICES; n += 1) fleet.applyReading(reading(n, { temperature: n }, { deviceId: `d${n}` }));
    fleet.applyReading(reading(5000, { temperature: 1 }, { deviceId: "d0" }));
    fleet.takeChangedIds();
    fleet.applyReading(reading(5001, { temperature: 1 }, { deviceId: "new" }));
    expect(fleet.devices.size).toBe(MAX_DEVICES);
    expect([fleet.devices.has("d0"), fleet.devices.has("d1")]).toEqual([true, false]);
    expect([...fleet.takeChangedIds()]).toEqual(["new", "d1"]);
  });

  test("drops devices that the registry no longer lists", () => {
    fleet.load([record("a"), record("b")]);
    fleet.load([record("b", { name: "Bath" })]);
    expect([...fleet.devices.values()].map(({ name }) => name)).toEqual(["Bath"]);
  });

  test("keeps what was changed on this page while a list was on its way", () => {
    fleet.load([record("a"), record("b")]);
    const { edits } = fleet;
    fleet.applyRecord(record("a", { name: "Attic" }));
    fleet.applyRecord(record("c", { name: "Cellar" }));
    fleet.forget("b");
    fleet.load([record("a"), record("b")], edits);
    expect([...fleet.devices.values()].map(({ name }) => name)).toEqual(["Attic", "Cellar"]);
    fleet.load([record("a")]);
    expect([...fleet.devices.values()].map(({ name }) => name)).toEqual(["a"]);
  });

  test("reports each change once", () => {
    fleet.applyReading(reading(1, { temperature: 1 }));
    expect([...fleet.takeChangedIds()]).toEqual(["kitchen"]);
    expect([...fleet.takeChangedIds()]).toEqual([]);
  });
});

describe("a part", () => {
  const home = new Fleet();
  home.load([record("cold", { name: "Cold room" }), record("cold.DS18B20-2", { partOf: "cold" })]);
  const part = home.devices.get("cold.DS18B20-2");

  test("is called by its device and its own name", () => {
    expect(part?.name).toBe("Cold room · DS18B20-2");
    expect(home.countParts("cold")).toBe(1);
  });

  test("keeps a name of its own", () => {
    home.applyRecord(record("cold.DS18B20-2", { partOf: "cold", name: "Fridge" }));
    expect(part?.name).toBe("Fridge");
  });

  test("of an unknown device is called by the id of the device", () => {
    expect(device("shed.x", { partOf: "shed" }).name).toBe("shed · x");
    expect(device("odd", { partOf: "odd" }).name).toBe("odd");
  });
});

describe("primary values", () => {
  let reports = new AssessmentReports();
  beforeEach(() => {
    reports = new AssessmentReports();
  });
  const shownOn = (id: string, alarms?: ReadonlyMap<string, Priority>) => {
    const one = fleet.devices.get(id) ?? device(id);
    return primaryValues(one, TABLE, judgementsOf(one, reports.of(one, NOON), alarms));
  };
  const names = (id: string, alarms?: ReadonlyMap<string, Priority>) => shownOn(id, alarms).map(({ measurement }) => measurement.name);

  test("are the most important ones", () => {
    fleet.applyReading(reading(1, { battery: 80, coPpm: 1, tvoc: 2, pm25: 3, humidity: 40, temperature: 20, co2: 600, flameDetected: false }));
    expect(names("kitchen")).toEqual(["co2", "temperature", "humidity", "pm25"]);
  });

  test("begin with the worrying ones, the most severe first", () => {
    const values = { coPpm: 5000, tvoc: 2, pm25: 3, humidity: 40, temperature: 20, co2: 600 };
    fleet.applyReading(reading(1, values, { quality: new Map([["coPpm", "outside 0..1000"]]) }));
    expect(names("kitchen")).toEqual(["coPpm", "co2", "temperature", "humidity"]);
    reports.put(reportOn("kitchen", NOON, judged("index.pm25", 5, { field: "pm25" }), judged("index.co2", 1)));
    expect(names("kitchen")).toEqual(["pm25", "coPpm", "co2", "temperature"]);
    expect(names("kitchen", new Map([["humidity", "high"]]))).toEqual(["humidity", "pm25", "coPpm", "co2"]);
  });

  test("know the worst assessment of each", () => {
    fleet.applyReading(reading(1, { co2: 600, temperature: 20 }));
    reports.put(reportOn("kitchen", NOON, judged("index.co2", 1), judged("index.co2.other", 3)));
    const [co2, temperature] = shownOn("kitchen");
    expect([co2?.judgement?.assessment?.key, co2?.judgement?.severity, temperature?.judgement]).toEqual(["index.co2.other", "warning", undefined]);
  });

  test("fall back to whatever the device has", () => {
    fleet.applyReading(reading(1, { flameDetected: false, battery: 5 }));
    expect(names("kitchen")).toEqual(["flameDetected", "battery"]);
  });

  test("do not include the battery, which has a place of its own", () => {
    const battery = (id: string) => {
      const found = fleet.devices.get(id) ?? device(id);
      return batteryPercent(found, primaryValues(found, TABLE));
    };
    fleet.applyReading(reading(1, { temperature: 20, battery: 0 }));
    fleet.applyReading(reading(2, { battery: 5 }, { deviceId: "remote" }));
    fleet.applyReading(reading(3, { temperature: 5 }, { deviceId: "attic" }));
    expect(["kitchen", "remote", "attic"].map(battery)).toEqual([0, null, null]);
  });
});
