import type { Measurement } from "../wire";
import type { Device, Entry } from "./device";

export const MAX_PRIMARY_VALUES = 4;

/** In order of importance; other fields follow in the order of the bridge's table. */
const IMPORTANCE = ["co2", "temperature", "humidity", "pm25", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "aqi", "no2", "o3", "hcho", "radon", "vocIndex", "pressure"];
/** Shown elsewhere: a flame is an alarm, the battery stands beside the status. The signal is no property of the air. */
const EXCLUDED = new Set(["flameDetected", "flameIntensity", "battery", "batteryVoltage", "rssi"]);

export interface PrimaryValue {
  readonly measurement: Measurement;
  readonly entry: Entry;
}

/**
 * The values shown on a device's card. Flagged values are selected first, then by importance. The result is ordered by
 * importance, so a card does not rearrange itself when a value is flagged.
 */
export function primaryValues(device: Device, table: readonly Measurement[], limit = MAX_PRIMARY_VALUES): PrimaryValue[] {
  const known = table.flatMap((measurement) => {
    const entry = device.entries.get(measurement.name);
    return entry ? [{ measurement, entry }] : [];
  });
  const shown = known.filter(({ measurement }) => !EXCLUDED.has(measurement.name));
  const candidates = shown.length > 0 ? shown : known;
  const flagged = candidates.filter(({ entry }) => entry.flag !== "" && !device.isStale(entry));
  const chosen = [...new Set([...flagged.sort(byImportance), ...candidates.sort(byImportance)])].slice(0, limit);
  return chosen.sort(byImportance);
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
