import type { Bucket, Reading, Summary } from "../wire";

/** One field over time, as a chart takes it: seconds since the epoch, and null where a line must break. */
export interface Columns {
  readonly times: number[];
  readonly mean: (number | null)[];
  readonly min: (number | null)[];
  readonly max: (number | null)[];
}

const EMPTY = 1.5; // steps: more than from one bucket to the next
const SILENT = 3.5; // intervals
const AROUND = 4; // pauses to either side
const SLACK = 2; // of the number of buckets a chart shows, before the oldest are let go

/** One device's history in buckets of one width, read from the store and followed live. */
export class History {
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

  /** A live reading. The same one twice counts once. */
  add(reading: Reading): void {
    if (this.#seen.has(reading.id)) return;
    this.#seen.add(reading.id);
    if (this.#seen.size > 2000) this.#seen.delete(this.#seen.values().next().value ?? "");
    const start = Math.floor(reading.measuredAt / this.step) * this.step;
    const bucket = this.#buckets.get(start) ?? new Map<string, Summary>();
    for (const [name, value] of reading.values) bucket.set(name, joined(bucket.get(name), Number(value)));
    this.#put(start, bucket);
  }

  /** Lets go of what is long out of sight. */
  trim(from: number, points: number): void {
    if (this.#buckets.size <= points * SLACK) return;
    for (const start of this.#buckets.keys()) if (start < from) this.#buckets.delete(start);
  }

  /** A line breaks where nothing came for longer than this field is ever silent; its device sends every `intervalMs`. */
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
 * Whether nothing came for too long before the time at `n`. An empty bucket is silence, unless the device sends less often
 * than that: by what is known of it, or by the pauses around, for fields differ and so did the past.
 */
function isGap(times: readonly number[], n: number, step: number, intervalMs: number): boolean {
  const pause = pauseBefore(times, n);
  if (pause <= EMPTY * step) return false;
  const around = median(Array.from({ length: 2 * AROUND + 1 }, (_, near) => pauseBefore(times, n - AROUND + near)).filter((one) => one > 0));
  const interval = around > EMPTY * step ? around : Math.min(intervalMs, step);
  return pause > SILENT * interval;
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

function joined(summary: Summary | undefined, value: number): Summary {
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
