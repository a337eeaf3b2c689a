import type { Measurement } from "../wire";
import type { Device, Entry } from "./device";
import { severityRank } from "./issues";
import type { Judgement } from "./judgement";
import { NOT_JUDGED, isWorrying } from "./judgement";

export const MAX_PRIMARY_VALUES = 4;

/** In order of importance; other fields follow in the order of the bridge's table. */
const IMPORTANCE = ["co2", "temperature", "humidity", "pm25", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "aqi", "no2", "o3", "hcho", "radon", "vocIndex", "pressure"];
/** Shown elsewhere: a flame is an alarm, the battery stands beside the status. The signal is no property of the air. */
const EXCLUDED = new Set(["flameDetected", "flameIntensity", "battery", "batteryVoltage", "rssi"]);

export function isShownOnCards(field: string): boolean {
  return !EXCLUDED.has(field);
}

export interface PrimaryValue {
  readonly measurement: Measurement;
  readonly entry: Entry;
  readonly judgement: Judgement | undefined;
}

/** The values shown on a device's card: the worrying ones first, the most severe before the others, and all others by importance. */
export function primaryValues(device: Device, table: readonly Measurement[], judged = NOT_JUDGED, limit = MAX_PRIMARY_VALUES): PrimaryValue[] {
  const known = table.flatMap((measurement) => {
    const entry = device.entries.get(measurement.name);
    return entry ? [{ measurement, entry, judgement: judged.get(measurement.name) }] : [];
  });
  const shown = known.filter(({ measurement }) => isShownOnCards(measurement.name));
  const candidates = shown.length > 0 ? shown : known;
  return candidates.sort((a, b) => worry(b) - worry(a) || byImportance(a, b)).slice(0, limit);
}

/** All measurements in the order of their importance. */
export function sortedByImportance(table: readonly Measurement[]): Measurement[] {
  return [...table].sort((a, b) => importance(a.name) - importance(b.name));
}

function worry({ judgement }: PrimaryValue): number {
  return judgement && isWorrying(judgement.severity) ? severityRank(judgement.severity) : 0;
}

/** The battery in percent, for the line of the status; null if there is none, or if it is among the primary values. */
export function batteryPercent(device: Device, shown: readonly PrimaryValue[]): number | null {
  const value = device.entries.get("battery")?.value;
  return typeof value === "number" && !shown.some(({ measurement }) => measurement.name === "battery") ? value : null;
}

function byImportance(a: PrimaryValue, b: PrimaryValue): number {
  return importance(a.measurement.name) - importance(b.measurement.name);
}

function importance(name: string): number {
  const index = IMPORTANCE.indexOf(name);
  return index < 0 ? IMPORTANCE.length : index;
}
