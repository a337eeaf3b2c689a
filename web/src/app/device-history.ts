import { computed, effect, signal } from "@preact/signals";

import { BucketHistory } from "../model/history/bucket-history";
import { RANGE } from "../model/history/range-param";
import { DAY, HOUR, MAX_POINTS, spanOf, stepFor } from "../model/history/time-range";
import type { Bucket, Reading } from "../model/wire";
import type { App } from "./app";
import { viewSignal } from "./view-state";

const DEBOUNCE_MS = 150;
const PAINT_INTERVAL_MS = 500;

export type LoadState = { readonly state: "idle" | "loading" } | { readonly state: "failed"; readonly error: unknown };

/** The history shown by one device's charts: loaded for the time range in the address, and extended with live readings. */
export class DeviceHistory {
  readonly range = viewSignal(RANGE);
  readonly history = signal(new BucketHistory(stepFor(HOUR)));
  readonly loadState = signal<LoadState>({ state: "loading" });
  /** Grows when live readings have changed the history. */
  readonly version = signal(0);
  /** The span on screen; a live range moves with the bridge's time. */
  readonly span = computed(() => spanOf(this.range.value, this.#app.store.now.value));

  readonly #app: App;
  readonly #deviceId: string;
  readonly #fields = new Set<string>();
  readonly #unsubscribe: (() => void)[];
  /** Live readings received while loading. */
  #pending: Reading[] = [];
  #abort: AbortController | null = null;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #isPaintScheduled = false;
  #hasLoaded = false;
  #hasSearched = false;

  constructor(app: App, deviceId: string) {
    this.#app = app;
    this.#deviceId = deviceId;
    this.#unsubscribe = [
      app.sync.readings.add((reading) => {
        if (reading.deviceId === deviceId) this.#onReading(reading);
      }),
      effect(() => {
        const isReady = app.store.table.value.length > 0;
        app.store.historyVersion.value;
        this.range.value;
        if (isReady) this.#scheduleLoad();
      }),
    ];
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    clearTimeout(this.#debounce);
    this.#abort?.abort();
  }

  #scheduleLoad(): void {
    clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => void this.#load(), this.#hasLoaded ? DEBOUNCE_MS : 0);
  }

  /** Aborts an earlier load. Readings received meanwhile are added to the result. */
  async #load(): Promise<void> {
    this.#hasLoaded = true;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.loadState.value = { state: "loading" };
    this.#pending = [];
    const range = this.range.peek();
    const { from, to } = spanOf(range, this.#app.store.bridgeNow());
    const step = stepFor(to - from, MAX_POINTS - 1);
    try {
      const query = { devices: [this.#deviceId], from, to, step, fields: this.#fieldsFor(to - from) };
      const buckets = await this.#app.api.history(query, abort.signal);
      if (abort.signal.aborted) return;
      this.#show(step, buckets, range.live);
      this.loadState.value = { state: "idle" };
      if (query.fields.length < this.#allFields().length) void this.#search();
    } catch (error) {
      if (!abort.signal.aborted) this.loadState.value = { state: "failed", error };
    }
  }

  /** A long query of a field costs the bridge the same when the device does not have it, so such fields are left out. */
  #fieldsFor(length: number): string[] {
    const known = new Set([...this.#fields, ...(this.#app.store.device(this.#deviceId)?.entries.keys() ?? [])]);
    const all = this.#allFields();
    return length > DAY && known.size > 0 ? all.filter((name) => known.has(name)) : all;
  }

  #allFields(): string[] {
    return this.#app.store.table.peek().map(({ name }) => name);
  }

  /** Looks once for fields of the last day that the newest reading does not have; a device may send its fields in turn. */
  async #search(): Promise<void> {
    if (this.#hasSearched) return;
    this.#hasSearched = true;
    const to = this.#app.store.bridgeNow();
    const query = { devices: [this.#deviceId], from: to - DAY, to, step: HOUR, fields: this.#allFields() };
    const buckets = await this.#app.api.history(query).catch(() => []);
    const found = [...new BucketHistory(HOUR, buckets).fields].filter((name) => !this.#fieldsFor(Infinity).includes(name));
    for (const name of found) this.#fields.add(name);
    if (found.length > 0) this.#scheduleLoad();
  }

  #show(step: number, buckets: readonly Bucket[], isLive: boolean): void {
    const history = new BucketHistory(step, buckets);
    if (isLive) for (const reading of this.#pending) history.add(reading);
    for (const name of history.fields) this.#fields.add(name);
    this.history.value = history;
  }

  #onReading(reading: Reading): void {
    if (this.loadState.peek().state === "loading") this.#pending.push(reading);
    if (!this.range.peek().live) return;
    const history = this.history.peek();
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
