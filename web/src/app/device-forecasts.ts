import { computed, effect, signal } from "@preact/signals";

import { Refresher } from "../api/refresher";
import type { Prediction } from "../model/analysis/prediction";
import { aheadOf, isShown } from "../model/analysis/prediction";
import { MINUTE } from "../model/history/time-range";
import { choiceParam } from "../model/view-param";
import type { App } from "./app";
import type { DeviceHistory } from "./device-history";
import { viewSignal } from "./view-state";

/** Events tell of new predictions at once; this is for pages without a live connection. */
const INTERVAL_MS = MINUTE;

/** Whether forecasts are wanted on charts. */
const FORECAST = choiceParam("forecast", ["on", "off"], "on");

/** The predictions for one device, loaded while its page is open. */
export class DeviceForecasts {
  readonly #choice = viewSignal(FORECAST);
  readonly predictions = signal<ReadonlyMap<string, Prediction>>(new Map());
  /** Whether the range on screen has room for forecasts, and there are any. */
  readonly isOffered = computed(() => this.predictions.value.size > 0 && aheadOf(this.#history.range.value) > 0);
  /** How far charts with a forecast reach into the future, in milliseconds. */
  readonly ahead = computed(() => (this.isWanted ? aheadOf(this.#history.range.value) : 0));
  readonly #app: App;
  readonly #deviceId: string;
  readonly #history: DeviceHistory;
  readonly #refresher = new Refresher(() => this.#load());
  readonly #stops: readonly (() => void)[];
  #isClosed = false;

  constructor(app: App, deviceId: string, history: DeviceHistory) {
    this.#app = app;
    this.#deviceId = deviceId;
    this.#history = history;
    const timer = setInterval(() => {
      if (!document.hidden) this.#refresher.request();
    }, INTERVAL_MS);
    this.#stops = [
      app.sync.predictions.add((id) => {
        if (id === deviceId) this.#refresher.request();
      }),
      effect(() => {
        app.store.historyVersion.value; // after a lost connection
        this.#refresher.request();
      }),
      () => clearInterval(timer),
    ];
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
  }

  get isWanted(): boolean {
    return this.#choice.value === "on";
  }

  toggle(): void {
    this.#choice.value = this.#choice.peek() === "on" ? "off" : "on";
  }

  /** What is said of a field below its chart: how good its forecast was, or why there is none. */
  noted(name: string): Prediction | null {
    const prediction = this.ahead.value > 0 ? this.predictions.value.get(name) : undefined;
    return prediction !== undefined && (prediction.model !== "profile" || this.#isShown(prediction)) ? prediction : null;
  }

  /** What is drawn on the chart of a field. */
  drawn(name: string): Prediction | null {
    const prediction = this.noted(name);
    return prediction?.model === "profile" ? prediction : null;
  }

  #isShown(prediction: Prediction): boolean {
    return isShown(prediction, this.#app.store.minute.value);
  }

  async #load(): Promise<void> {
    if (this.#isClosed) return;
    const predictions = await this.#app.api.predictions(this.#deviceId);
    this.predictions.value = new Map(predictions.filter(({ deviceId }) => deviceId === this.#deviceId).map((one) => [one.field, one]));
  }
}
