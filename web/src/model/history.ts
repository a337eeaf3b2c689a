import type { Bucket, Reading, Summary } from "./wire";

/** One field over time, as a chart takes it: seconds since the epoch, and null where a line must break. */
export interface Columns {
  readonly times: number[];
  readonly mean: (number | null)[];
  readonly min: (number | null)[];
  readonly max: (number | null)[];
}

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

  /** A line breaks where nothing came for longer than a device that sends every `intervalMs` is ever silent. */
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
    return withGaps(times, summaries, this.step, longestPause(times, this.step, intervalMs));
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
 * One and a half steps, for an empty bucket is silence, unless the device sends less often than that. A field may come less
 * often than its device sends; then its own median counts.
 */
export function longestPause(times: readonly number[], step: number, intervalMs: number | null): number {
  const usual = median(times.slice(1).map((time, n) => time - (times[n] ?? time)));
  const interval = usual !== null && usual > 1.5 * step ? usual : (intervalMs ?? 0);
  return Math.max(1.5 * step, 3.5 * interval);
}

function withGaps(times: readonly number[], summaries: readonly Summary[], step: number, pause: number): Columns {
  const columns: Columns = { times: [], mean: [], min: [], max: [] };
  const push = (time: number, summary: Summary | null): void => {
    columns.times.push(time / 1000);
    columns.mean.push(summary?.mean ?? null);
    columns.min.push(summary?.min ?? null);
    columns.max.push(summary?.max ?? null);
  };
  times.forEach((time, n) => {
    const before = times[n - 1];
    if (before !== undefined && time - before > pause) push(before + step / 2, null);
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

function median(numbers: readonly number[]): number | null {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? null;
}
