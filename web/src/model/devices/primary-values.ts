import type { Device, Entry } from "./device";
import type { Measurement } from "../wire";

export const HEADLINES = 4;

/** What people look for first; what is not named here follows in the order of the bridge's table. */
const FIRST = ["co2", "temperature", "humidity", "pm25", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "aqi", "no2", "o3", "pressure"];
/** Shown elsewhere: a flame is an alarm or nothing, a battery matters when it is low. */
const NEVER = new Set(["flameDetected", "flameIntensity", "battery"]);

export interface Headline {
  readonly measurement: Measurement;
  readonly entry: Entry;
}

/**
 * The few values of a device that its card shows: those with something wrong first in line for a place, then by importance.
 * They stand in the order of importance, so that a card does not rearrange itself when one is flagged.
 */
export function headlines(device: Device, table: readonly Measurement[], most = HEADLINES): Headline[] {
  const known = table.flatMap((measurement) => {
    const entry = device.entries.get(measurement.name);
    return entry ? [{ measurement, entry }] : [];
  });
  const shown = known.filter(({ measurement }) => !NEVER.has(measurement.name));
  const candidates = shown.length > 0 ? shown : known;
  const flagged = candidates.filter(({ entry }) => entry.flag !== "" && !device.isLagging(entry));
  const chosen = [...new Set([...flagged.sort(byImportance), ...candidates.sort(byImportance)])].slice(0, most);
  return chosen.sort(byImportance);
}

function byImportance(a: Headline, b: Headline): number {
  return importance(a.measurement.name) - importance(b.measurement.name);
}

function importance(name: string): number {
  const place = FIRST.indexOf(name);
  return place < 0 ? FIRST.length : place;
}
