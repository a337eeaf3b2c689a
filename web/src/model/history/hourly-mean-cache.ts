import type { HourlyMean } from "../../standards/averaging";
import type { Device } from "../devices/device";
import type { Bucket } from "../wire";

const HOUR_MS = 3_600_000;
const KEPT_HOURS = 25;

interface Entry {
  readonly hours: Map<string, Map<number, HourlyMean>>;
  /** The hour, counted from the epoch, up to which the means were loaded. */
  loadedHour: number;
  version: number;
}

/** Hourly means of the last day, by device and field, for the devices that were on screen. */
export class HourlyMeanCache {
  readonly #devices = new Map<string, Entry>();

  /** Whether every complete hour has been loaded. */
  isCurrent(deviceId: string, now: number): boolean {
    return this.#devices.get(deviceId)?.loadedHour === hourOf(now);
  }

  /** The start of the hour to load from: one day back, or one hour before the last one loaded, to include late readings. */
  missingSince(deviceId: string, now: number): number {
    const loaded = this.#devices.get(deviceId)?.loadedHour ?? 0;
    return Math.max(loaded - 2, hourOf(now) - KEPT_HOURS) * HOUR_MS;
  }

  load(deviceIds: readonly string[], buckets: readonly Bucket[], now: number): void {
    for (const id of deviceIds) {
      const entry = this.#devices.get(id);
      if (entry) Object.assign(entry, { loadedHour: hourOf(now), version: entry.version + 1 });
      else this.#devices.set(id, { hours: new Map(), loadedHour: hourOf(now), version: 1 });
    }
    for (const { deviceId, start, fields } of buckets) {
      const hours = this.#devices.get(deviceId)?.hours;
      for (const [name, { mean, count }] of hours ? fields : []) {
        const means = hours?.get(name) ?? new Map<number, HourlyMean>();
        means.set(start, { startMs: start, mean, count });
        for (const old of means.keys()) if (old < now - (KEPT_HOURS + 1) * HOUR_MS) means.delete(old);
        hours?.set(name, means);
      }
    }
  }

  of(deviceId: string): Readonly<Record<string, readonly HourlyMean[]>> {
    const hours = this.#devices.get(deviceId)?.hours ?? [];
    return Object.fromEntries([...hours].map(([name, byStart]) => [name, [...byStart.values()]]));
  }

  /** Grows with every load of the device; 0 before the first. */
  version(deviceId: string): number {
    return this.#devices.get(deviceId)?.version ?? 0;
  }

  /** Marks every entry for reloading; the known means stay available until then. */
  invalidate(): void {
    for (const entry of this.#devices.values()) entry.loadedHour = 0;
  }

  retainOnly(devices: ReadonlyMap<string, Device>): void {
    for (const id of this.#devices.keys()) if (!devices.has(id)) this.#devices.delete(id);
  }
}

function hourOf(now: number): number {
  return Math.floor(now / HOUR_MS);
}
