/** What the bridge knows of a device beyond its record: its parts, its clock, and what else it sends. */

import type { TimeSpan } from "../history/time-range";
import { entries, field, list, number, text, time } from "../json";
import type { Cause } from "../reason";
import { causeIn } from "../reason";

export type ExtraValue = number | boolean | string;

/** A key of the device's messages that is not taken as a measurement. `lastValue` is null if it was no scalar. */
export interface IgnoredKey {
  readonly key: string;
  readonly reason: string;
  readonly cause?: Cause;
  readonly since: number | null;
  readonly lastValue: ExtraValue | null;
}

/** A sensor of the device. `id` is that of its own series; null if it belongs to the device's series. */
export interface Part {
  readonly name: string;
  readonly id: string | null;
}

export interface DeviceDetail {
  readonly timezone: string | null;
  /** How far its clock is ahead of UTC, such as `+07:00`, as learned. */
  readonly clockOffset: string | null;
  readonly units: ReadonlyMap<string, string>;
  readonly parts: readonly Part[];
  readonly alsoSends: readonly IgnoredKey[];
}

/** The values of a reading that are no measurement. */
export interface ExtraRecord {
  readonly at: number;
  readonly values: ReadonlyMap<string, ExtraValue>;
}

export interface DeviceIgnoredKeys {
  readonly deviceId: string;
  readonly keys: readonly IgnoredKey[];
}

const MAX_KEYS = 64;
const MAX_REASON_LENGTH = 200;

export function parseDetail(body: unknown): DeviceDetail {
  return {
    timezone: text(field(body, "timezone")) || null,
    clockOffset: text(field(body, "clockOffset")) || null,
    units: new Map(firstEntries(field(body, "units")).map(([name, unit]) => [text(name), text(unit)])),
    parts: firstEntries(field(body, "parts")).map(([name, part]) => ({ name: text(name), id: text(field(part, "id")) || null })),
    alsoSends: parseIgnoredKeys(field(body, "alsoSends")),
  };
}

export function parseIgnoredKeysPage(body: unknown): DeviceIgnoredKeys[] {
  return list(field(body, "devices")).flatMap((row) => {
    const deviceId = text(field(row, "id"));
    const keys = parseIgnoredKeys(field(row, "alsoSends"));
    return deviceId && keys.length > 0 ? [{ deviceId, keys }] : [];
  });
}

function parseIgnoredKeys(body: unknown): IgnoredKey[] {
  return firstEntries(body).map(([key, one]) => ({
    key: text(key),
    reason: text(field(one, "reason"), MAX_REASON_LENGTH),
    ...causeIn(one),
    since: time(field(one, "since")),
    lastValue: extraValue(field(one, "lastValue")),
  }));
}

export function parseExtraRecords(body: unknown): ExtraRecord[] {
  return list(field(body, "readings")).flatMap((record) => {
    const at = time(field(record, "timestamp"));
    const values = firstEntries(field(record, "extra")).flatMap(([key, raw]) => {
      const value = extraValue(raw);
      return value === null ? [] : [[text(key), value] as const];
    });
    return at === null || values.length === 0 ? [] : [{ at, values: new Map(values) }];
  });
}

export interface Point {
  readonly at: number;
  readonly value: number;
}

/** The numbers of one key within a span, by time. */
export function extraPoints(records: readonly ExtraRecord[], key: string, { from, to }: TimeSpan): Point[] {
  return records
    .flatMap(({ at, values }) => {
      const value = values.get(key);
      return typeof value === "number" && at >= from && at <= to ? [{ at, value }] : [];
    })
    .sort((a, b) => a.at - b.at);
}

function extraValue(raw: unknown): ExtraValue | null {
  if (typeof raw === "boolean") return raw;
  return typeof raw === "string" ? text(raw) : number(raw);
}

function firstEntries(body: unknown): [string, unknown][] {
  return entries(body).slice(0, MAX_KEYS);
}
