/** A room in one line. */

import type { Measurement } from "../wire";
import { sortedByImportance, isShownOnCards } from "./primary-values";
import type { RankedDevice } from "./ranking";

export interface RoomMean {
  readonly measurement: Measurement;
  readonly value: number;
  /** The number of devices. */
  readonly count: number;
}

/** The mean of the most important measurement that a device of the room has a fresh number of; null without any. */
export function roomMean(devices: readonly RankedDevice[], table: readonly Measurement[], now: number): RoomMean | null {
  for (const measurement of sortedByImportance(table)) {
    if (!isShownOnCards(measurement.name)) continue;
    const values = devices.flatMap(({ device, presence }) => {
      const entry = device.entries.get(measurement.name);
      const isFresh = entry !== undefined && presence !== "offline" && !device.isStale(entry) && device.isFreshSince(entry.measuredAt, now);
      return isFresh && typeof entry.value === "number" ? [entry.value] : [];
    });
    if (values.length > 0) return { measurement, value: values.reduce((sum, one) => sum + one, 0) / values.length, count: values.length };
  }
  return null;
}
