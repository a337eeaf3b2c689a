import type { Bucket, Reading, Summary } from "../wire";
import { bucketStart } from "./bucket-start";

/** One field over time, in the form a chart takes. `times` are in seconds; null breaks the line. */
export interface Columns {
  readonly times: number[];
  readonly mean: (number | null)[];
  readonly min: (number | null)[];
  readonly max: (number | null)[];
}

const EMPTY_STEPS = 1.5; // a longer pause contains at least one empty bucket
const SILENT_INTERVALS = 3.5;
const NEIGHBOURS = 4; // pauses considered on either side
const TRIM_FACTOR = 2; // times the number of points a chart shows
const MAX_SEEN_IDS = 2000;

/** One device's history in buckets of equal width, loaded from the store and extended with live readings. */
export class BucketHistory {
  readonly step: number;
  readonly fields = new Set<string>();
  readonly #buckets = new Map<number, Map<string, Summary>>();
  readonly #seen = new Set<string>();
  #sorted = true;
  #newest = Number.NEGATIVE_INFINITY;

  constructor(step: number, buckets: readonly Bucket[] = []) {
    this.step = step;
    for (const { start, fields } of buckets) this.#put(start, new Map(fields));
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Adds a live reading; a duplicate is ignored. */
  add(reading: Reading): void {
    if (this.#seen.has(reading.id)) return;
    this.#seen.add(reading.id);
    if (this.#seen.size > MAX_SEEN_IDS) this.#seen.delete(this.#seen.values().next().value ?? "");
    const start = bucketStart(reading.measuredAt, this.step);
    const bucket = this.#buckets.get(start) ?? new Map<string, Summary>();
    for (const [name, value] of reading.values) bucket.set(name, merge(bucket.get(name), Number(value)));
    this.#put(start, bucket);
  }

  /** Drops buckets before `from` once there are far more of them than a chart shows. */
  trim(from: number, points: number): void {
    if (this.#buckets.size <= points * TRIM_FACTOR) return;
    for (const start of this.#buckets.keys()) if (start < from) this.#buckets.delete(start);
  }

  /** Inserts a gap where the field was silent longer than usual. `intervalMs` is the device's usual interval. */
  columns(name: string, intervalMs: number | null): Columns {
    this.#sort();
    const times: number[] = [];
    const summaries: Summary[] = [];
    for (const [start, fields] of this.#buckets) {
      const summary = fields.get(name);
      if (summary === undefined) continue;
      times.push(start);
      summaries.push(summary);
    }
    return withGaps(times, summaries, this.step, intervalMs ?? 0);
  }

  #put(start: number, fields: Map<string, Summary>): void {
    for (const name of fields.keys()) this.fields.add(name);
    if (!this.#buckets.has(start) && start < this.#newest) this.#sorted = false;
    this.#newest = Math.max(this.#newest, start);
    this.#buckets.set(start, fields);
  }

  #sort(): void {
    if (this.#sorted) return;
    const all = [...this.#buckets].sort(([a], [b]) => a - b);
    this.#buckets.clear();
    for (const [start, fields] of all) this.#buckets.set(start, fields);
    this.#sorted = true;
  }
}

/**
 * Whether the pause before index `n` is a gap. An empty bucket is a gap unless the device sends less often than that, judged by
 * its interval or by the surrounding pauses, because fields differ and the interval may have changed.
 */
function isGap(times: readonly number[], n: number, step: number, intervalMs: number): boolean {
  const pause = pauseBefore(times, n);
  if (pause <= EMPTY_STEPS * step) return false;
  const pauses = Array.from({ length: 2 * NEIGHBOURS + 1 }, (_, near) => pauseBefore(times, n - NEIGHBOURS + near));
  const usual = median(pauses.filter((one) => one > 0));
  const interval = usual > EMPTY_STEPS * step ? usual : Math.min(intervalMs, step);
  return pause > SILENT_INTERVALS * interval;
}

function pauseBefore(times: readonly number[], n: number): number {
  const [before, time] = [times[n - 1], times[n]];
  return before === undefined || time === undefined ? 0 : time - before;
}

function withGaps(times: readonly number[], summaries: readonly Summary[], step: number, intervalMs: number): Columns {
  const columns: Columns = { times: [], mean: [], min: [], max: [] };
  const push = (time: number, summary: Summary | null): void => {
    columns.times.push(time / 1000);
    columns.mean.push(summary?.mean ?? null);
    columns.min.push(summary?.min ?? null);
    columns.max.push(summary?.max ?? null);
  };
  times.forEach((time, n) => {
    if (isGap(times, n, step, intervalMs)) push(time - pauseBefore(times, n) + step / 2, null);
    push(time, summaries[n] ?? null);
  });
  return columns;
}

function merge(summary: Summary | undefined, value: number): Summary {
  if (summary === undefined) return { min: value, mean: value, max: value, count: 1 };
  const count = summary.count + 1;
  return {
    min: Math.min(summary.min, value),
    max: Math.max(summary.max, value),
    mean: summary.mean + (value - summary.mean) / count,
    count,
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
