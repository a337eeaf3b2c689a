/** Fixtures for the tests of the model. */

import { Device } from "./devices/device";
import type { Bucket, DeviceRecord, Measurement, Reading, Value } from "./wire";
import { parseMeasurements } from "./wire";

export const NOON = Date.UTC(2026, 0, 15, 12);

export const TABLE: readonly Measurement[] = parseMeasurements(
  ["temperature", "humidity", "aqi", "co2", "tvoc", "coPpm", "flameDetected", "pm25", "battery"].map((name) => ({ name, label: name })),
);

export function reading(seq: number, values: Record<string, Value>, over: Partial<Reading> = {}): Reading {
  const filled = new Map(Object.entries(values));
  return { id: `r${seq}`, deviceId: "kitchen", measuredAt: NOON + seq, seq, values: filled, quality: new Map(), retained: false, aqiScale: "", ...over };
}

export function record(id: string, over: Partial<DeviceRecord> = {}): DeviceRecord {
  const unknown = { name: null, type: null, site: null, room: null, partOf: null, status: null, statusAt: null, connection: null, lastSeen: null, createdAt: null };
  return { id, ...unknown, expectedInterval: null, interval: null, state: new Map(), lastReading: null, ...over };
}

export function device(id: string, over: Partial<DeviceRecord> = {}): Device {
  const made = new Device(id);
  made.applyRecord(record(id, over));
  return made;
}

export function hourlyBucket(start: number, pm25: number): Bucket {
  return { deviceId: "kitchen", start, fields: new Map([["pm25", { min: pm25, mean: pm25, max: pm25, count: 60 }]]) };
}
