/** The border: what the bridge sends, checked once and turned into the page's own types. Payloads may be hostile. */

export interface Measurement {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** The usual range; null where the bridge knows none. */
  readonly low: number | null;
  readonly high: number | null;
}

export type Value = number | boolean;

export interface Reading {
  readonly id: string;
  readonly deviceId: string;
  /** When it was measured, in milliseconds since the epoch. */
  readonly measuredAt: number;
  /** The bridge's cursor: grows with every stored record. */
  readonly seq: number;
  readonly values: ReadonlyMap<string, Value>;
  /** What is wrong, in words, by field; `timestamp` stands for the device's clock. */
  readonly quality: ReadonlyMap<string, string>;
  /** The broker kept it: it tells of the past and never raises an alarm. */
  readonly retained: boolean;
  /** By which scale its `aqi` is: `uba`, `epa`; empty where nobody said. */
  readonly aqiScale: string;
}

/** A device as the registry tells of it; what is not known is null. */
export interface DeviceRecord {
  readonly id: string;
  readonly name: string | null;
  readonly type: string | null;
  readonly site: string | null;
  readonly room: string | null;
  readonly status: string | null;
  readonly statusAt: number | null;
  /** How it is known to be there: `socket` or `mqtt`; null when it was only heard. */
  readonly connection: string | null;
  readonly lastSeen: number | null;
  readonly createdAt: number | null;
  /** Seconds between readings: as the operator expects, and as the bridge has learnt. */
  readonly expectedInterval: number | null;
  readonly interval: number | null;
  /** What the device says of itself beside its measurements. */
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
export interface Bucket {
  readonly deviceId: string;
  readonly start: number;
  readonly fields: ReadonlyMap<string, Summary>;
}

export type Level = "info" | "warning" | "error";

const LONGEST_TEXT = 200;
const MOST_STATES = 64;

export function parseMeasurements(body: unknown): Measurement[] {
  return list(body).flatMap((row) => {
    const name = text(field(row, "name"));
    if (!name) return [];
    const [low, high] = [number(field(row, "low")), number(field(row, "high"))];
    return [{ name, label: text(field(row, "label")) || name, unit: text(field(row, "unit")), low, high }];
  });
}

export function parseReadings(body: unknown, table: readonly Measurement[]): Reading[] {
  return list(field(body, "readings")).flatMap((record) => parseReading(record, table) ?? []);
}

/** The body of a `sensorData` event; the record's own `seq` wins over the event's cursor. */
export function parseSensorData(body: unknown, table: readonly Measurement[]): Reading | null {
  return parseReading(field(body, "data"), table, number(field(body, "cursor")) ?? 0);
}

/** Reads only the fields in the table, so a record with a million keys costs no more than any other. Null without any. */
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
  return { id, deviceId, measuredAt, seq: number(field(record, "seq")) ?? cursor, values, quality, retained, aqiScale };
}

export function parseDevices(body: unknown, table: readonly Measurement[]): DeviceRecord[] {
  return list(field(body, "devices")).flatMap((record) => parseDevice(record, table) ?? []);
}

export function parseDevice(record: unknown, table: readonly Measurement[]): DeviceRecord | null {
  const id = text(field(record, "id"));
  if (!id) return null;
  const told = (name: string): string | null => text(field(record, name)) || null;
  return {
    id,
    name: told("name"),
    type: told("type"),
    site: told("site"),
    room: told("room"),
    status: told("status"),
    statusAt: time(field(record, "statusAt")),
    connection: told("connection"),
    lastSeen: time(field(record, "lastSeen")),
    createdAt: time(field(record, "createdAt")),
    expectedInterval: number(field(record, "expectedInterval")),
    interval: number(field(record, "interval")),
    state: parseState(field(record, "state")),
    lastReading: parseReading(field(record, "lastReading"), table),
  };
}

function parseState(state: unknown): ReadonlyMap<string, string> {
  if (typeof state !== "object" || state === null) return new Map();
  const pairs = Object.entries(state).slice(0, MOST_STATES);
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

export function field(body: unknown, name: string): unknown {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, name)) return undefined;
  return (body as Record<string, unknown>)[name];
}

export function text(value: unknown, longest = LONGEST_TEXT): string {
  return typeof value === "string" ? value.slice(0, longest) : "";
}

export function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function time(value: unknown): number | null {
  const milliseconds = Date.parse(text(value));
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

export function level(value: unknown): Level {
  return value === "warning" || value === "error" ? value : "info";
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A store may summarise yes and no as such. */
function numeric(value: unknown): number | null {
  return typeof value === "boolean" ? Number(value) : number(value);
}
