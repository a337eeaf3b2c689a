/** The border: what the bridge sends, checked once and turned into the page's own types. Payloads may be hostile. */

export interface Measurement {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
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
}

export type Level = "info" | "warning" | "error";

const LONGEST_TEXT = 200;

export function parseMeasurements(body: unknown): Measurement[] {
  return list(body).flatMap((row) => {
    const name = text(field(row, "name"));
    return name ? [{ name, label: text(field(row, "label")) || name, unit: text(field(row, "unit")) }] : [];
  });
}

export function parseLatest(body: unknown, table: readonly Measurement[]): Reading[] {
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
  const measuredAt = Date.parse(text(field(record, "timestamp")));
  if (!id || !deviceId || Number.isNaN(measuredAt)) return null;

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
  return { id, deviceId, measuredAt, seq: number(field(record, "seq")) ?? cursor, values, quality };
}

export function field(body: unknown, name: string): unknown {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, name)) return undefined;
  return (body as Record<string, unknown>)[name];
}

export function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, LONGEST_TEXT) : "";
}

export function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function level(value: unknown): Level {
  return value === "warning" || value === "error" ? value : "info";
}

function list(body: unknown): unknown[] {
  return Array.isArray(body) ? body : [];
}
