import type { Signal } from "@preact/signals";
import { computed, effect, signal } from "@preact/signals";

import { nextBatch } from "../api/history-loader";
import type { Device } from "../model/devices/device";
import { BucketHistory } from "../model/history/bucket-history";
import { RANGE } from "../model/history/range-param";
import type { Series } from "../model/history/series";
import { later, meanColumns } from "../model/history/series";
import type { TimeSpan } from "../model/history/time-range";
import { DAY, MAX_POINTS, live, spanOf, stepFor } from "../model/history/time-range";
import { choiceParam, viewParam } from "../model/view-param";
import type { Reading } from "../model/wire";
import type { App } from "./app";
import type { LoadState } from "./device-history";
import { viewSignal } from "./view-state";

const DEBOUNCE_MS = 150;
const PAINT_INTERVAL_MS = 1000;
/** The bridge answers with at most 10,000 buckets. */
const DEVICES_A_REQUEST = 16;

export const SHIFTS = { none: 0, day: DAY, week: 7 * DAY } as const;
export type Shift = keyof typeof SHIFTS;

const COMPARED_RANGE = viewParam("range", live(DAY), RANGE, { remember: RANGE.isRemembered });
const SHIFT = choiceParam("shift", Object.keys(SHIFTS) as Shift[], "none");

interface Loaded {
  readonly step: number;
  readonly now: ReadonlyMap<string, BucketHistory>;
  readonly before: ReadonlyMap<string, BucketHistory>;
}

const NOTHING: Loaded = { step: stepFor(DAY), now: new Map(), before: new Map() };

/** The history of several series of one measurement, in the range and with the shift of the address; extended with live readings. */
export class Comparison {
  readonly range = viewSignal(COMPARED_RANGE);
  readonly shift = viewSignal(SHIFT);
  readonly loadState = signal<LoadState>({ state: "loading" });
  readonly span = computed(() => spanOf(this.range.value, this.#app.store.now.value));
  /** Grows when live readings have changed the history. */
  readonly version = signal(0);
  readonly #app: App;
  readonly #name: string;
  readonly #series: Signal<readonly Series[]>;
  readonly #loaded = signal(NOTHING);
  readonly #stops: readonly (() => void)[];
  #pending: Reading[] = [];
  #abort: AbortController | null = null;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #isPaintScheduled = false;

  constructor(app: App, name: string, series: Signal<readonly Series[]>) {
    this.#app = app;
    this.#name = name;
    this.#series = series;
    let known = "";
    this.#stops = [
      app.sync.readings.add((reading) => this.#onReading(reading)),
      effect(() => {
        const ids = this.#devices(series.value).map(({ id }) => id);
        const wanted = JSON.stringify([ids, this.range.value, this.shift.value, app.store.historyVersion.value]);
        if (wanted === known) return;
        known = wanted;
        this.loadState.value = { state: "loading" }; // or the chart would be called empty until the request begins
        clearTimeout(this.#debounce);
        this.#debounce = setTimeout(() => void this.#load(), DEBOUNCE_MS);
      }),
    ];
  }

  close(): void {
    for (const stop of this.#stops) stop();
    clearTimeout(this.#debounce);
    this.#abort?.abort();
  }

  get step(): number {
    return this.#loaded.value.step;
  }

  /** The values of a series; `isEarlier`: those of a day or a week before, at the times at which they are drawn. */
  columns({ devices }: Series, isEarlier: boolean): ReturnType<typeof meanColumns> {
    this.version.value;
    const histories = isEarlier ? this.#loaded.value.before : this.#loaded.value.now;
    const own = devices.flatMap(({ id, intervalMs }) => {
      const history = histories.get(id);
      return history ? [{ history, intervalMs }] : [];
    });
    return later(meanColumns(own, this.#name), isEarlier ? SHIFTS[this.shift.value] : 0);
  }

  #devices(series: readonly Series[]): readonly Device[] {
    return [...new Set(series.flatMap(({ devices }) => devices))];
  }

  async #load(): Promise<void> {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.#pending = [];
    this.loadState.value = { state: "loading" };
    const devices = this.#devices(this.#series.peek());
    const span = spanOf(this.range.peek(), this.#app.store.bridgeNow());
    const step = stepFor(span.to - span.from, MAX_POINTS - 1);
    const shift = SHIFTS[this.shift.peek()];
    try {
      const [now, before] = await Promise.all([
        this.#histories(devices, span, step, abort.signal),
        shift === 0 ? new Map<string, BucketHistory>() : this.#histories(devices, { from: span.from - shift, to: span.to - shift }, step, abort.signal),
      ]);
      if (abort.signal.aborted) return;
      this.#loaded.value = { step, now, before };
      this.loadState.value = { state: "idle" };
      for (const reading of this.#pending) this.#onReading(reading);
    } catch (error) {
      if (!abort.signal.aborted) this.loadState.value = { state: "failed", error };
    }
  }

  async #histories(devices: readonly Device[], { from, to }: TimeSpan, step: number, abort: AbortSignal): Promise<Map<string, BucketHistory>> {
    const histories = new Map(devices.map(({ id }) => [id, new BucketHistory(step)]));
    let left = devices;
    while (left.length > 0) {
      const batch = nextBatch(left, DEVICES_A_REQUEST);
      if (batch.length === 0) break; // an id that no URL can name
      const buckets = await this.#app.api.history({ devices: batch.map(({ id }) => id), from, to, step, fields: [this.#name] }, abort);
      for (const { id } of batch) histories.set(id, new BucketHistory(step, buckets.filter(({ deviceId }) => deviceId === id)));
      left = left.slice(0, -batch.length);
    }
    return histories;
  }

  #onReading(reading: Reading): void {
    if (!reading.values.has(this.#name)) return;
    if (this.loadState.peek().state === "loading") {
      if (this.#pending.length < MAX_POINTS) this.#pending.push(reading);
      return;
    }
    const history = this.#loaded.peek().now.get(reading.deviceId);
    if (history === undefined || !this.range.peek().live) return;
    history.add(reading);
    history.trim(this.span.peek().from, MAX_POINTS);
    if (this.#isPaintScheduled) return;
    this.#isPaintScheduled = true;
    setTimeout(() => {
      this.#isPaintScheduled = false;
      this.version.value++;
    }, PAINT_INTERVAL_MS);
  }
}
