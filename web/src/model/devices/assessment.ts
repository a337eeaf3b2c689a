/** What a device's readings mean now, by named standards; from its newest values and the hours of its last day. */

import type { Hour } from "../../standards/averaging";
import { judge, worst } from "../../standards/assess";
import type { Judged, Judgement } from "../../standards/assessment";
import type { Severity } from "./issues";
import type { Device, Entry } from "./device";
import type { Bucket } from "../wire";

/** What is judged by its hours, and so must be asked for by the hour. */
export const HOURLY = ["pm25", "pm10", "coPpm"] as const;

/** That there is none of it goes without saying. */
const HAZARDS: ReadonlySet<string> = new Set(["index.lel.ch4", "index.lel.lpg", "index.co.now"]);
const HOUR_MS = 3_600_000;
const KEPT_HOURS = 25;
const MINUTE_MS = 60_000;
const STALE_MS = 10 * MINUTE_MS;
const STALE_INTERVALS = 3;

/** Nothing to do, or only for the most sensitive, up to danger to everyone. */
const SEVERITIES: readonly Severity[] = ["none", "none", "notice", "warning", "warning", "alarm", "alarm", "alarm"];

export function severityOfOrder(order: number): Severity {
  return SEVERITIES[order] ?? "none";
}

/** A device that measures something judged by its hours. */
export function hasHours(device: Device): boolean {
  return HOURLY.some((name) => device.entries.has(name));
}

/** Hourly means of the last day, of the devices that were looked at. */
export class HourBook {
  readonly #devices = new Map<string, { readonly hours: Map<string, Map<number, Hour>>; readHour: number; version: number }>();

  /** Whether all that has ended was read. */
  isFresh(deviceId: string, now: number): boolean {
    return this.#devices.get(deviceId)?.readHour === hourOf(now);
  }

  /** From where it must be read, at the start of an hour: all of the last day, or the hour before the last one known too, for what came late. */
  missingFrom(deviceId: string, now: number): number {
    const known = this.#devices.get(deviceId)?.readHour ?? 0;
    return Math.max(known - 2, hourOf(now) - KEPT_HOURS) * HOUR_MS;
  }

  load(deviceIds: readonly string[], buckets: readonly Bucket[], now: number): void {
    for (const id of deviceIds) {
      const known = this.#devices.get(id);
      if (known) Object.assign(known, { readHour: hourOf(now), version: known.version + 1 });
      else this.#devices.set(id, { hours: new Map(), readHour: hourOf(now), version: 1 });
    }
    for (const { deviceId, start, fields } of buckets) {
      const hours = this.#devices.get(deviceId)?.hours;
      for (const [name, { mean, count }] of hours ? fields : []) {
        const ofField = hours?.get(name) ?? new Map<number, Hour>();
        ofField.set(start, { startMs: start, mean, count });
        for (const old of ofField.keys()) if (old < now - (KEPT_HOURS + 1) * HOUR_MS) ofField.delete(old);
        hours?.set(name, ofField);
      }
    }
  }

  of(deviceId: string): Readonly<Record<string, readonly Hour[]>> {
    const hours = this.#devices.get(deviceId)?.hours ?? [];
    return Object.fromEntries([...hours].map(([name, byStart]) => [name, [...byStart.values()]]));
  }

  /** Changes whenever the hours of a device do; 0 while none are known. */
  version(deviceId: string): number {
    return this.#devices.get(deviceId)?.version ?? 0;
  }

  /** Something was missed: what is known stands until it is read anew. */
  doubt(): void {
    for (const known of this.#devices.values()) known.readHour = 0;
  }

  keepOnly(devices: ReadonlyMap<string, Device>): void {
    for (const id of this.#devices.keys()) if (!devices.has(id)) this.#devices.delete(id);
  }
}

export interface Meaning {
  readonly judgements: readonly Judgement[];
  /** For the order of devices; -1 where nothing is judged. */
  readonly order: number;
  /** The gravest to say in a word: not a flame, which has its own, nor that there is no gas. */
  readonly worst: Judged | null;
}

/** Judgements, made anew only when a reading or an hour has come, or a minute has passed. */
export class Meanings {
  readonly #hours: HourBook;
  readonly #made = new Map<string, { readonly key: string; readonly meaning: Meaning }>();

  constructor(hours: HourBook) {
    this.#hours = hours;
  }

  of(device: Device, now: number): Meaning {
    const key = `${device.heard} ${this.#hours.version(device.id)} ${Math.floor(now / MINUTE_MS)}`;
    const known = this.#made.get(device.id);
    if (known?.key === key) return known.meaning;
    const meaning = meaningOf(device, this.#hours.of(device.id), now);
    this.#made.set(device.id, { key, meaning });
    return meaning;
  }

  forget(deviceId: string): void {
    this.#made.delete(deviceId);
  }
}

/** What is flagged may make things worse, but calms nobody. */
export function meaningOf(device: Device, hours: Readonly<Record<string, readonly Hour[]>>, now: number): Meaning {
  const current = [...device.entries].filter(([, entry]) => isCurrent(device, entry, now));
  const values = { ...Object.fromEntries(current.map(([name, { value }]) => [name, value])), aqiScale: device.aqiScale };
  const flagged = new Set(current.flatMap(([name, { flag }]) => (flag ? [name] : [])));
  const judgements = judge({ nowMs: now, values, hours }).filter(({ level, field }) => level !== 0 || !flagged.has(field));
  const air = judgements.filter(({ key, field, level }) => field !== "flameDetected" && (level !== 0 || !HAZARDS.has(key)));
  return { judgements, order: worst(judgements)?.order ?? -1, worst: worst(air) };
}

/** New enough to speak of now: not what the broker kept, nor what is long past for a device of this rhythm. */
function isCurrent(device: Device, entry: Entry, now: number): boolean {
  if (entry.retained || entry.value === null) return false;
  return now - entry.measuredAt <= Math.max(STALE_MS, STALE_INTERVALS * (device.intervalMs ?? 0));
}

function hourOf(now: number): number {
  return Math.floor(now / HOUR_MS);
}
