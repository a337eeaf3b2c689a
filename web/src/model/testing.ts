/** Fixtures for the tests of the model. */

import type { Alarm } from "./alarms/alarm";
import { parseAlarm } from "./alarms/alarm";
import type { Advice } from "./analysis/advice";
import { parseAdvice } from "./analysis/advice";
import type { Anomaly } from "./analysis/anomaly";
import { parseAnomaly } from "./analysis/anomaly";
import type { AssessmentReport } from "./devices/assessment";
import { parseReport } from "./devices/assessment";
import { Device } from "./devices/device";
import type { DeviceRecord, Measurement, Reading, Value } from "./wire";
import { parseMeasurements } from "./wire";

export const NOON = Date.UTC(2026, 0, 15, 12);

export const TABLE: readonly Measurement[] = parseMeasurements(
  ["temperature", "humidity", "aqi", "co2", "tvoc", "coPpm", "flameDetected", "pm25", "battery"].map((name) => ({ name, label: name })),
);

export function reading(seq: number, values: Record<string, Value>, over: Partial<Reading> = {}): Reading {
  const filled = new Map(Object.entries(values));
  return { id: `r${seq}`, deviceId: "kitchen", measuredAt: NOON + seq, receivedAt: NOON + seq, seq, values: filled, quality: new Map(), retained: false, aqiScale: "", ...over };
}

export function record(id: string, over: Partial<DeviceRecord> = {}): DeviceRecord {
  const unknown = { name: null, type: null, site: null, room: null, partOf: null, status: null, statusAt: null, connection: null, lastSeen: null, createdAt: null, retiredAt: null };
  return { id, ...unknown, expectedInterval: null, interval: null, state: new Map(), lastReading: null, ...over };
}

export function device(id: string, over: Partial<DeviceRecord> = {}): Device {
  const made = new Device(id);
  made.applyRecord(record(id, over));
  return made;
}

/** An assessment as the bridge sends it. */
export function judged(key: string, level: number, over: Record<string, unknown> = {}): Record<string, unknown> {
  const indicator = { key, standard: "standard.ubaCo2", field: "co2", unit: null, averaging: "averaging.latest", indicative: false, caveat: null };
  const value = level + 1;
  return { ...indicator, value, measured: over["value"] ?? value, level, levelKey: `level.co2.elevated`, advice: "advice.none", order: level, ...over };
}

/** The bridge's report on a device. */
export function reportOn(deviceId: string, at: number, ...assessments: unknown[]): AssessmentReport {
  const report = parseReport({ deviceId, at: new Date(at).toISOString(), assessments });
  if (report === null) throw new Error("not a report");
  return report;
}

/** An alarm's record as the bridge sends it. */
export function alarmRecord(id: string, over: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id, rule: "co-ceiling", deviceId: "kitchen", site: "Home", room: "Cellar", field: "coPpm", kind: "alarm", priority: "critical",
    state: "unacknowledged", latched: true, value: 212, unit: "ppm", limit: 200, peak: { value: 230, at: new Date(NOON).toISOString() },
    standard: "standard.niosh", indicative: true, message: "Carbon monoxide 212 ppm at Cellar, Home",
    advice: "Everyone out now. Open windows and doors on your way, and call the emergency services from outside.",
    raisedAt: new Date(NOON).toISOString(), clearedAt: null, acknowledgedAt: null, acknowledgedBy: null, comment: null, shelvedUntil: null,
    suppressedBy: null, outOfService: false, first: true, group: id, past: null, reading: "r1", seq: 1, ...over,
  };
}

export function alarm(id: string, over: Record<string, unknown> = {}): Alarm {
  const parsed = parseAlarm(alarmRecord(id, over));
  if (parsed === null) throw new Error("not an alarm");
  return parsed;
}

/** An anomaly's record as the bridge sends it. */
export function anomalyRecord(id: string, over: Record<string, unknown> = {}): Record<string, unknown> {
  const at = new Date(NOON).toISOString();
  return {
    id, deviceId: "kitchen", kind: "stuck", field: "temperature", fields: ["temperature"], priority: "low", state: "standing",
    detectedAt: at, since: at, endedAt: null, outcome: null, message: "Temperature has been exactly 21.4 °C for 26 hours.",
    key: "anomaly.stuck", parameters: { value: 21.4, hours: 26, longestHours: 3, limitHours: 24 }, unit: "°C", neighbour: null,
    samples: [{ at, value: 21.4 }], neighbourSamples: [], markedBy: null, comment: null, ...over,
  };
}

export function anomaly(id: string, over: Record<string, unknown> = {}): Anomaly {
  const parsed = parseAnomaly(anomalyRecord(id, over));
  if (parsed === null) throw new Error("not an anomaly");
  return parsed;
}

/** Advice because of a forecast. */
export function advice(id: string, over: Record<string, unknown> = {}): Advice {
  const parsed = parseAdvice({
    id, deviceId: "office", at: new Date(NOON).toISOString(), action: "ventilate", reason: "forecast", field: "co2", limit: 2000, unit: "ppm",
    probability: 0.62, within: 1, message: "Air the room now: CO2 likely above 2,000 ppm within 1 h, 62 %.", key: "advice.ventilate.forecast",
    parameters: { limit: 2000, hours: 1, probability: 62 }, standard: "standard.ubaCo2", ...over,
  });
  if (parsed === null) throw new Error("not advice");
  return parsed;
}
