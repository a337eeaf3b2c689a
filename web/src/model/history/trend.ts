import type { Device } from "../devices/device";
import type { Bucket, Reading } from "../wire";

/** One hour, in as many points as a sparkline has room for. */
export const SLOTS = 30;
export const SLOT_MS = 120_000;

const RECENT = 5; // slots
const MISSED_INTERVALS = 3;

export type Direction = "rising" | "falling" | "steady";

/** The last hour of one field: a mean for each two minutes, NaN without readings. */
export class Trend {
  readonly #sums = new Float64Array(SLOTS);
  readonly #counts = new Uint32Array(SLOTS);
  /** The newest slot, counted from the epoch. */
  #last: number;

  constructor(now: number) {
    this.#last = Math.floor(now / SLOT_MS);
  }

  add(at: number, value: number, count = 1): void {
    const slot = Math.floor(at / SLOT_MS);
    this.#moveTo(slot);
    if (slot <= this.#last - SLOTS) return;
    this.#sums[slot % SLOTS] = (this.#sums[slot % SLOTS] ?? 0) + value * count;
    this.#counts[slot % SLOTS] = (this.#counts[slot % SLOTS] ?? 0) + count;
  }

  /** Oldest first. */
  points(now: number): number[] {
    const slot = Math.floor(now / SLOT_MS);
    this.#moveTo(slot);
    return Array.from({ length: SLOTS }, (_, n) => {
      const one = slot - SLOTS + 1 + n;
      const index = one % SLOTS;
      if (one <= this.#last - SLOTS || one > this.#last) return Number.NaN;
      const count = this.#counts[index] ?? 0;
      return count === 0 ? Number.NaN : (this.#sums[index] ?? 0) / count;
    });
  }

  #moveTo(slot: number): void {
    if (slot <= this.#last) return;
    const from = Math.max(this.#last + 1, slot - SLOTS + 1);
    for (let one = from; one <= slot; one++) this.#sums[one % SLOTS] = this.#counts[one % SLOTS] = 0;
    this.#last = slot;
  }
}

/** The trends of the devices that were on screen. A trend starts when the device's history is loaded; live readings extend it. */
export class Trends {
  readonly #devices = new Map<string, Map<string, Trend>>();

  has(deviceId: string): boolean {
    return this.#devices.has(deviceId);
  }

  of(deviceId: string, field: string): Trend | undefined {
    return this.#devices.get(deviceId)?.get(field);
  }

  /** Replaces the trends of these devices, including those without any bucket. */
  load(deviceIds: readonly string[], buckets: readonly Bucket[], now: number): void {
    for (const id of deviceIds) this.#devices.set(id, new Map());
    for (const { deviceId, start, fields } of buckets) {
      for (const [name, { mean, count }] of fields) this.#trend(deviceId, name, now)?.add(start, mean, count);
    }
  }

  add({ deviceId, measuredAt, values }: Reading, now: number): void {
    if (!this.#devices.has(deviceId) || measuredAt > now + SLOT_MS) return;
    for (const [name, value] of values) {
      if (typeof value === "number") this.#trend(deviceId, name, now)?.add(measuredAt, value);
    }
  }

  retainOnly(devices: ReadonlyMap<string, Device>): void {
    for (const id of this.#devices.keys()) if (!devices.has(id)) this.#devices.delete(id);
  }

  clear(): void {
    this.#devices.clear();
  }

  #trend(deviceId: string, field: string, now: number): Trend | undefined {
    const fields = this.#devices.get(deviceId);
    if (fields === undefined) return undefined;
    const trend = fields.get(field) ?? new Trend(now);
    fields.set(field, trend);
    return trend;
  }
}

/**
 * The points of a sparkline as lines of `[slot, value]`. A line ends where the sensor missed three of its intervals; of a sensor
 * whose interval is unknown, three times the usual distance of its points.
 */
export function linesOf(points: readonly number[], intervalMs: number | null): (readonly [slot: number, value: number])[][] {
  const known = points.flatMap((value, slot) => (Number.isNaN(value) ? [] : [[slot, value] as const]));
  const distances = known.slice(1).map(([slot], index) => slot - (known[index]?.[0] ?? 0)).sort((a, b) => a - b);
  const interval = intervalMs === null ? distances[distances.length >> 1] ?? 1 : intervalMs / SLOT_MS;
  const longest = Math.max(1, Math.ceil(MISSED_INTERVALS * interval));
  const lines: (readonly [number, number])[][] = [];
  for (const point of known) {
    const last = lines.at(-1)?.at(-1);
    if (last !== undefined && point[0] - last[0] <= longest) lines.at(-1)?.push(point);
    else lines.push([point]);
  }
  return lines;
}

/** Changes below this are sensor noise, in the field's unit; for other fields it is a twentieth of the value. */
const MIN_SPANS: Readonly<Record<string, number>> = { temperature: 1, humidity: 4, pressure: 3, aqi: 2, co2: 60, eco2: 60, battery: 10 };

/** The value range of a sparkline, wide enough that noise stays flat. Null without points. */
export function sparkRange(field: string, points: readonly number[]): readonly [number, number] | null {
  const known = points.filter((point) => !Number.isNaN(point));
  if (known.length === 0) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const span = Math.max(high - low, minSpan(field, (low + high) / 2));
  const middle = (low + high) / 2;
  return [middle - span / 2, middle + span / 2];
}

/** Compares the last ten minutes with the rest of the hour; null when either has no points. */
export function direction(field: string, points: readonly number[]): Direction | null {
  const recent = mean(points.slice(-RECENT));
  const before = mean(points.slice(0, -RECENT));
  if (recent === null || before === null) return null;
  const change = recent - before;
  if (Math.abs(change) < minSpan(field, before) / 2) return "steady";
  return change > 0 ? "rising" : "falling";
}

function minSpan(field: string, value: number): number {
  return MIN_SPANS[field] ?? Math.max(Math.abs(value) / 20, 1e-6);
}

function mean(points: readonly number[]): number | null {
  const known = points.filter((point) => !Number.isNaN(point));
  return known.length === 0 ? null : known.reduce((sum, point) => sum + point, 0) / known.length;
}
