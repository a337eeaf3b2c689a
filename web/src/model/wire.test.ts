import { describe, expect, test } from "vitest";

import { parseMeasurements, parseReading, parseReadings, parseSensorData } from "./wire";

const table = parseMeasurements([
  { name: "temperature", label: "Temperature", unit: "°C", low: -40, high: 85 },
  { name: "flameDetected", label: "Flame", unit: null, low: null, high: null },
]);
const record = { _id: "65a", temperature: 0, timestamp: "2026-01-15T12:00:00.000Z", deviceId: "kitchen" };

test("the table keeps its order, and units are optional", () => {
  expect(table.map(({ name, unit }) => [name, unit])).toEqual([["temperature", "°C"], ["flameDetected", ""]]);
});

test("zero and false are values", () => {
  const reading = parseReading({ ...record, flameDetected: false }, table);
  expect([...(reading?.values ?? [])]).toEqual([["temperature", 0], ["flameDetected", false]]);
});

test("a live reading has the event's cursor, a stored one its own seq", () => {
  expect(parseSensorData({ data: record, cursor: 1767000000000000 }, table)?.seq).toBe(1767000000000000);
  expect(parseReadings({ readings: [{ ...record, seq: 7 }] }, table)[0]?.seq).toBe(7);
});

test("quality holds the flags of known fields and the clock only", () => {
  const quality = { flameDetected: "not true or false", timestamp: "too far ahead", other: "x" };
  const flags = [...(parseReading({ ...record, quality }, table)?.quality ?? [])];
  expect(flags).toEqual([["flameDetected", "not true or false"], ["timestamp", "too far ahead"]]);
});

describe("an invalid reading is dropped", () => {
  test.each([
    [null],
    ["text"],
    [[]],
    [{ ...record, _id: 5 }],
    [{ ...record, deviceId: "" }],
    [{ ...record, timestamp: "yesterday" }],
    [{ ...record, temperature: "21" }],
    [{ ...record, temperature: Number.NaN }],
    [Object.create(record)],
  ])("%j", (body) => {
    expect(parseReading(body, table)).toBeNull();
  });

  test("without affecting valid ones", () => {
    expect(parseReadings({ readings: [null, record, 5] }, table)).toHaveLength(1);
    expect(parseReadings("<html>", table)).toEqual([]);
  });
});
