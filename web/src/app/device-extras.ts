import { signal } from "@preact/signals";

import type { DeviceDetail, ExtraRecord } from "../model/devices/device-detail";
import type { App } from "./app";
import type { DeviceHistory } from "./device-history";

const INTERVAL_MS = 10_000;

/** What else is known of the device on screen: polled while its page is open, with the history of its other values. */
export class DeviceExtras {
  readonly detail = signal<DeviceDetail | null>(null);
  readonly records = signal<readonly ExtraRecord[]>([]);
  readonly #app: App;
  readonly #deviceId: string;
  readonly #history: DeviceHistory;
  readonly #stop: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(app: App, deviceId: string, history: DeviceHistory) {
    this.#app = app;
    this.#deviceId = deviceId;
    this.#history = history;
    this.#stop = history.range.subscribe(() => this.#schedule(0));
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
    clearTimeout(this.#timer);
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#poll(), delay);
  }

  /** What fails to load keeps its previous value. */
  async #poll(): Promise<void> {
    const { api } = this.#app;
    if (!document.hidden) {
      const detail = await api.deviceDetail(this.#deviceId).catch(() => this.detail.peek());
      const hasNumbers = detail?.alsoSends.some(({ lastValue }) => typeof lastValue === "number") ?? false;
      const range = this.#history.range.peek();
      const to = range.live ? null : range.span.to;
      const records = hasNumbers ? await api.extraRecords(this.#deviceId, to).catch(() => this.records.peek()) : [];
      if (this.#isClosed) return;
      this.detail.value = detail;
      this.records.value = records;
    }
    if (!this.#isClosed) this.#schedule(INTERVAL_MS);
  }
}
