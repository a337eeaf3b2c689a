import { describe, expect, test } from "vitest";

import type { DeviceRecord, Value } from "../wire";
import { NOON, TABLE, device, reading } from "../testing";
import { AssessmentReports } from "./device-assessment";
import type { Sort } from "./device-table";
import { WORST_FIRST, formatSort, measurementColumns, parseSort, pressed, sortDevices } from "./device-table";
import type { RankedDevice } from "./ranking";
import { Ranking } from "./ranking";
import { roomMean } from "./room-summary";

const reports = new AssessmentReports();

function ranked(id: string, values: Record<string, Value>, over: Partial<DeviceRecord> = {}, measuredAt = NOON): RankedDevice {
  const one = device(id, { status: "online", interval: 2, lastReading: reading(0, values, { measuredAt }), ...over });
  return new Ranking().of(one, reports.of(one, NOON), NOON);
}

const DEVICES = [
  ranked("b2", { temperature: 20, co2: 900 }, { site: "Home", room: "Kitchen" }, NOON - 1000),
  ranked("b10", { temperature: 25, flameDetected: true }, { site: "Home", room: "Attic" }, NOON - 3000),
  ranked("a", { humidity: 40 }, {}, NOON - 2000),
  ranked("c", { temperature: -3 }, { status: "offline", room: "Zoo" }, NOON - 9000),
];

const order = (sort: Sort) => sortDevices(DEVICES, sort).map(({ device: { id } }) => id);

describe("the table of devices", () => {
  test.each([
    ["-state", ["b10", "c", "a", "b2"]],
    ["state", ["a", "b2", "c", "b10"]],
    ["device", ["a", "b2", "b10", "c"]],
    ["-device", ["c", "b10", "b2", "a"]],
    ["room", ["b10", "b2", "c", "a"]],
    ["age", ["b2", "a", "b10", "c"]],
    ["-temperature", ["b10", "b2", "c", "a"]],
    ["temperature", ["c", "b2", "b10", "a"]],
    ["-flameDetected", ["b10", "c", "a", "b2"]],
    ["nothing", ["b10", "c", "a", "b2"]],
  ])("is sorted by %s, devices without a value last", (text, ids) => {
    expect(order(parseSort(text) ?? WORST_FIRST)).toEqual(ids);
  });

  test("has a column for each measurement that occurs, the most important first", () => {
    const columns = measurementColumns(DEVICES.map((one) => one.device), TABLE);
    expect(columns.map(({ name }) => name)).toEqual(["co2", "temperature", "humidity", "flameDetected"]);
  });

  test("has its order as a text", () => {
    expect([WORST_FIRST, { column: "co2", isDescending: false }].map(formatSort)).toEqual(["-state", "co2"]);
    expect(["", "-", "--co2", "co 2", "<b>", "x".repeat(65)].map(parseSort)).toEqual(Array(6).fill(null));
  });

  test("is turned round by the header that it is sorted by, and else begins with what one looks for", () => {
    expect(formatSort(pressed("co2", WORST_FIRST))).toBe("-co2");
    expect(formatSort(pressed("co2", { column: "co2", isDescending: true }))).toBe("co2");
    expect(formatSort(pressed("device", WORST_FIRST))).toBe("device");
  });
});

describe("the mean of a room", () => {
  test("is of its most important measurement, over the devices that have a fresh value", () => {
    expect(roomMean(DEVICES, TABLE, NOON)).toMatchObject({ measurement: { name: "co2" }, value: 900, count: 1 });
    const warm = [ranked("x", { temperature: 20 }), ranked("y", { temperature: 23 }), ranked("z", { temperature: 90 }, {}, NOON - 3_600_000)];
    expect(roomMean(warm, TABLE, NOON)).toMatchObject({ measurement: { name: "temperature" }, value: 21.5, count: 2 });
  });

  test("is missing without a number, and of devices that are offline", () => {
    expect(roomMean([ranked("x", { flameDetected: false, battery: 50 })], TABLE, NOON)).toBeNull();
    expect(roomMean([ranked("x", { temperature: 20 }, { status: "offline" })], TABLE, NOON)).toBeNull();
  });
});
