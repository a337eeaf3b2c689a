/** The assessment of a device: its newest values and hourly means, rated by named standards. */

import { assess, worst } from "../../standards/assess";
import type { Assessment, CompleteAssessment } from "../../standards/assessment";
import type { HourlyMean } from "../../standards/averaging";
import type { HourlyMeanCache } from "../history/hourly-mean-cache";
import type { Device, Entry } from "./device";
import type { Severity } from "./issues";

/** Fields whose standards average over hours, so that hourly means must be loaded. */
export const AVERAGED_FIELDS = ["pm25", "pm10", "coPpm"] as const;

/** Not mentioned in `worst` while they are at level 0. */
const HAZARDS: ReadonlySet<string> = new Set(["index.lel.ch4", "index.lel.lpg", "index.co.now"]);
const MINUTE_MS = 60_000;
const MAX_AGE_MS = 10 * MINUTE_MS;
const MAX_AGE_INTERVALS = 3;

/** By `order`, 0 to 7. */
const SEVERITIES: readonly Severity[] = ["none", "none", "notice", "warning", "warning", "alarm", "alarm", "alarm"];

export function severityOfOrder(order: number): Severity {
  return SEVERITIES[order] ?? "none";
}

export function needsHourlyMeans(device: Device): boolean {
  return AVERAGED_FIELDS.some((name) => device.entries.has(name));
}

export interface DeviceAssessment {
  readonly assessments: readonly Assessment[];
  /** Sort key among devices: the order of the worst assessment; -1 without any. */
  readonly order: number;
  /** The worst one for a one-word summary. Excludes flames, which have their own alarm, and hazards at level 0. */
  readonly worst: CompleteAssessment | null;
}

/** Caches assessments; one is recomputed after a new reading, new hourly means, or a minute. */
export class AssessmentCache {
  readonly #hours: HourlyMeanCache;
  readonly #cached = new Map<string, { readonly key: string; readonly assessment: DeviceAssessment }>();

  constructor(hours: HourlyMeanCache) {
    this.#hours = hours;
  }

  of(device: Device, now: number): DeviceAssessment {
    const key = `${device.readingCount} ${this.#hours.version(device.id)} ${Math.floor(now / MINUTE_MS)}`;
    const cached = this.#cached.get(device.id);
    if (cached?.key === key) return cached.assessment;
    const assessment = assessDevice(device, this.#hours.of(device.id), now);
    this.#cached.set(device.id, { key, assessment });
    return assessment;
  }

  delete(deviceId: string): void {
    this.#cached.delete(deviceId);
  }
}

/** A flagged value counts only when it raises the level. */
export function assessDevice(device: Device, hours: Readonly<Record<string, readonly HourlyMean[]>>, now: number): DeviceAssessment {
  const current = [...device.entries].filter(([, entry]) => isCurrent(device, entry, now));
  const values = { ...Object.fromEntries(current.map(([name, { value }]) => [name, value])), aqiScale: device.aqiScale };
  const flagged = new Set(current.flatMap(([name, { flag }]) => (flag ? [name] : [])));
  const assessments = assess({ nowMs: now, values, hours }).filter(({ level, field }) => level !== 0 || !flagged.has(field));
  const air = assessments.filter(({ key, field, level }) => field !== "flameDetected" && (level !== 0 || !HAZARDS.has(key)));
  return { assessments, order: worst(assessments)?.order ?? -1, worst: worst(air) };
}

/** Excludes retained values and values older than 10 minutes or three intervals of the device. */
function isCurrent(device: Device, entry: Entry, now: number): boolean {
  if (entry.retained || entry.value === null) return false;
  return now - entry.measuredAt <= Math.max(MAX_AGE_MS, MAX_AGE_INTERVALS * (device.intervalMs ?? 0));
}
