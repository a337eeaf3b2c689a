import type { Signal } from "@preact/signals";
import { computed, effect, signal } from "@preact/signals";

import type { App } from "./app";
import { History } from "../model/history/history";
import type { Range } from "../model/history/time-range";
import { DAY, HOUR, MOST_POINTS, live, spanOf, stepFor } from "../model/history/time-range";
import type { Bucket, Reading } from "../model/wire";

const SETTLE_MS = 150;
const PAINT_MS = 500;

export type Loading = { readonly state: "idle" | "reading" } | { readonly state: "failed"; readonly error: string };

/** What the charts of one device show: the history of the range that is asked for, followed live. */
export class DeviceHistory {
  readonly range: Signal<Range> = signal(live(HOUR));
  readonly history = signal(new History(stepFor(HOUR)));
  readonly loading = signal<Loading>({ state: "reading" });
  /** Counts what live readings changed. */
  readonly version = signal(0);
  /** What is on the screen: moves with the bridge's time while it is live. */
  readonly span = computed(() => spanOf(this.range.value, this.#app.now.value));

  readonly #app: App;
  readonly #deviceId: string;
  readonly #fields = new Set<string>();
  readonly #leave: (() => void)[];
  #since: Reading[] = [];
  #aborting: AbortController | null = null;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #painting = false;
  #hasRead = false;

  constructor(app: App, deviceId: string) {
    this.#app = app;
    this.#deviceId = deviceId;
    this.#leave = [
      app.onReading((reading) => {
        if (reading.deviceId === deviceId) this.#hear(reading);
      }),
      effect(() => {
        const isReady = app.table.value.length > 0;
        app.healed.value;
        this.range.value;
        if (isReady) this.#readSoon();
      }),
    ];
  }

  close(): void {
    for (const leave of this.#leave) leave();
    clearTimeout(this.#settling);
    this.#aborting?.abort();
  }

  #readSoon(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.#read(), this.#hasRead ? SETTLE_MS : 0);
  }

  /** Whoever asks last is answered; readings that come meanwhile are added to the answer. */
  async #read(): Promise<void> {
    this.#hasRead = true;
    this.#aborting?.abort();
    const aborting = (this.#aborting = new AbortController());
    this.loading.value = { state: "reading" };
    this.#since = [];
    const range = this.range.peek();
    const { from, to } = spanOf(range, this.#app.bridgeNow());
    const step = stepFor(to - from, MOST_POINTS - 1);
    try {
      const query = { devices: [this.#deviceId], from, to, step, fields: this.#wanted(to - from) };
      const buckets = await this.#app.http.history(query, aborting.signal);
      if (aborting.signal.aborted) return;
      this.#show(step, buckets, range.live);
      this.loading.value = { state: "idle" };
    } catch (error) {
      if (!aborting.signal.aborted) this.loading.value = { state: "failed", error: error instanceof Error ? error.message : String(error) };
    }
  }

  /** A long time of a field that the device does not have is asked for in vain, and costs the bridge as much as any other. */
  #wanted(length: number): string[] {
    const known = new Set([...this.#fields, ...(this.#app.device(this.#deviceId)?.entries.keys() ?? [])]);
    const all = this.#app.table.peek().map(({ name }) => name);
    return length > DAY && known.size > 0 ? all.filter((name) => known.has(name)) : all;
  }

  #show(step: number, buckets: readonly Bucket[], isLive: boolean): void {
    const history = new History(step, buckets);
    if (isLive) for (const reading of this.#since) history.add(reading);
    for (const name of history.fields) this.#fields.add(name);
    this.history.value = history;
  }

  #hear(reading: Reading): void {
    if (this.loading.peek().state === "reading") this.#since.push(reading);
    if (!this.range.peek().live) return;
    const history = this.history.peek();
    history.add(reading);
    history.trim(this.span.peek().from, MOST_POINTS);
    if (this.#painting) return;
    this.#painting = true;
    setTimeout(() => {
      this.#painting = false;
      this.version.value++;
    }, PAINT_MS);
  }
}
