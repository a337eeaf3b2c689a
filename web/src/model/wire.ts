/** The bridge's JSON, validated once and turned into the page's types. Payloads may be hostile. */

import { field, list, number, text, time } from "./json";

export interface Measurement {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** The unit in which the bridge lets the page show it; the stored one if it does not say. */
  readonly shownUnit?: string;
  /** The usual range; null where the bridge knows none. */
  readonly low: number | null;
  readonly high: number | null;
}

export type Value = number | boolean;

export interface Reading {
  readonly id: string;
  readonly deviceId: string;
  /** Milliseconds since the epoch. */
  readonly measuredAt: number;
  /** When the bridge received it, by the bridge's clock. */
  readonly receivedAt: number;
  /** The bridge's cursor; grows with every stored record. */
  readonly seq: number;
  readonly values: ReadonlyMap<string, Value>;
  /** Quality flags by field; `timestamp` is the device's clock. */
  readonly quality: ReadonlyMap<string, string>;
  /** An MQTT retained message: it is from the past and never raises an alarm. */
  readonly retained: boolean;
  /** The scale of `aqi`: `uba` or `epa`; empty when unknown. */
  readonly aqiScale: string;
}

/** A device's registry record; unknown properties are null. */
export interface DeviceRecord {
  readonly id: string;
  readonly name: string | null;
  readonly type: string | null;
  readonly site: string | null;
  readonly room: string | null;
  /** The device of which this is a part. */
  readonly partOf: string | null;
  readonly status: string | null;
  readonly statusAt: number | null;
  /** How its presence is known: `socket` or `mqtt`; null when only its readings are known. */
  readonly connection: string | null;
  readonly lastSeen: number | null;
  readonly createdAt: number | null;
  /** Since when it is retired: listed apart, never offline, and without alarms; null if it is not. */
  readonly retiredAt: number | null;
  /** Seconds between readings, as set by the operator. */
  readonly expectedInterval: number | null;
  /** Seconds between readings, as learned by the bridge. */
  readonly interval: number | null;
  /** Properties that the device reports besides its measurements. */
  readonly state: ReadonlyMap<string, string>;
  readonly lastReading: Reading | null;
}

export interface Summary {
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  readonly count: number;
}

/** One device's readings over one span of time. */
/** The bridge's name for all users while access is open. */
export const ANYONE = "anyone";

export interface Bucket {
  readonly deviceId: string;
  readonly start: number;
  readonly fields: ReadonlyMap<string, Summary>;
}

export type EventLevel = "info" | "warning" | "error";

const MAX_STATES = 64;

export function parseMeasurements(body: unknown): Measurement[] {
  return list(body).flatMap((row) => {
    const name = text(field(row, "name"));
    if (!name) return [];
    const [low, high] = [number(field(row, "low")), number(field(row, "high"))];
    return [{ name, label: text(field(row, "label")) || name, unit: text(field(row, "unit")), ...(text(field(row, "shownUnit")) ? { shownUnit: text(field(row, "shownUnit")) } : {}), low, high }];
  });
}

export function parseReadings(body: unknown, table: readonly Measurement[]): Reading[] {
  return list(field(body, "readings")).flatMap((record) => parseReading(record, table) ?? []);
}

/** Parses a `sensorData` event; the record's `seq` takes precedence over the event's cursor. */
export function parseSensorData(body: unknown, table: readonly Measurement[]): Reading | null {
  return parseReading(field(body, "data"), table, number(field(body, "cursor")) ?? 0);
}

/** Reads only the table's fields, so that the cost does not grow with the record. Null without any of them. */
export function parseReading(record: unknown, table: readonly Measurement[], cursor = 0): Reading | null {
  const id = text(field(record, "_id"));
  const deviceId = text(field(record, "deviceId"));
  const measuredAt = time(field(record, "timestamp"));
  if (!id || !deviceId || measuredAt === null) return null;

  const values = new Map<string, Value>();
  const quality = new Map<string, string>();
  const flags = field(record, "quality");
  for (const { name } of table) {
    const value = field(record, name);
    if (typeof value === "boolean" || number(value) !== null) values.set(name, value as Value);
    const flag = text(field(flags, name));
    if (flag) quality.set(name, flag);
  }
  if (values.size === 0) return null;
  const clock = text(field(flags, "timestamp"));
  if (clock) quality.set("timestamp", clock);
  const retained = field(record, "retained") === true;
  const aqiScale = text(field(record, "aqiScale"));
  const receivedAt = time(field(record, "receivedAt")) ?? measuredAt;
  return { id, deviceId, measuredAt, receivedAt, seq: number(field(record, "seq")) ?? cursor, values, quality, retained, aqiScale };
}

export function parseDevices(body: unknown, table: readonly Measurement[]): DeviceRecord[] {
  return list(field(body, "devices")).flatMap((record) => parseDevice(record, table) ?? []);
}

export function parseDevice(record: unknown, table: readonly Measurement[]): DeviceRecord | null {
  const id = text(field(record, "id"));
  if (!id) return null;
  const optional = (name: string): string | null => text(field(record, name)) || null;
  return {
    id,
    name: optional("name"),
    type: optional("type"),
    site: optional("site"),
    room: optional("room"),
    partOf: optional("partOf"),
    status: optional("status"),
    statusAt: time(field(record, "statusAt")),
    connection: optional("connection"),
    lastSeen: time(field(record, "lastSeen")),
    createdAt: time(field(record, "createdAt")),
    retiredAt: time(field(record, "retiredAt")),
    expectedInterval: number(field(record, "expectedInterval")),
    interval: number(field(record, "interval")),
    state: parseState(field(record, "state")),
    lastReading: parseReading(field(record, "lastReading"), table),
  };
}

export function parseState(state: unknown): ReadonlyMap<string, string> {
  if (typeof state !== "object" || state === null) return new Map();
  const pairs = Object.entries(state).slice(0, MAX_STATES);
  return new Map(pairs.map(([name, value]) => [text(name), typeof value === "string" ? text(value) : text(JSON.stringify(value))]));
}

export function parseBuckets(body: unknown, fields: readonly string[]): Bucket[] {
  return list(field(body, "readings")).flatMap((row) => {
    const deviceId = text(field(row, "deviceId"));
    const start = time(field(row, "timestamp"));
    if (!deviceId || start === null) return [];
    const summaries = fields.flatMap((name) => {
      const summary = parseSummary(field(row, name));
      return summary ? [[name, summary] as const] : [];
    });
    return [{ deviceId, start, fields: new Map(summaries) }];
  });
}

function parseSummary(body: unknown): Summary | null {
  const [min, mean, max] = ["min", "mean", "max"].map((name) => numeric(field(body, name)));
  if (min == null || mean == null || max == null) return null;
  return { min, mean, max, count: number(field(body, "count")) ?? 1 };
}

export function eventLevel(value: unknown): EventLevel {
  return value === "warning" || value === "error" ? value : "info";
}

/** Some stores summarise booleans as booleans. */
function numeric(value: unknown): number | null {
  return typeof value === "boolean" ? Number(value) : number(value);
}
