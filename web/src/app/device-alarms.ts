import { effect, signal } from "@preact/signals";

import { Refresher } from "../api/refresher";
import type { Alarm } from "../model/alarms/alarm";
import type { AlarmRule } from "../model/alarms/rules";
import type { App } from "./app";
import type { DeviceHistory } from "./device-history";

/** The bridge lists alarms by when they were raised; one that was raised this long before the chart may still reach into it. */
const EARLIER_MS = 86_400_000;
/** More are not drawn. */
const MAX_ALARMS = 500;

/** The rules, and the alarms of one device in the time range of its charts; loaded again when either changes, or the connection was lost. */
export class DeviceAlarms {
  readonly rules = signal<readonly AlarmRule[]>([]);
  readonly alarms = signal<readonly Alarm[]>([]);
  readonly #app: App;
  readonly #deviceId: string;
  readonly #history: DeviceHistory;
  readonly #refresher = new Refresher(() => this.#load());
  readonly #stop: () => void;
  #standing: readonly Alarm[] = [];
  #hasRules = false;
  #rulesVersion = 0;
  #isClosed = false;

  constructor(app: App, deviceId: string, history: DeviceHistory) {
    this.#app = app;
    this.#deviceId = deviceId;
    this.#history = history;
    let known = "";
    this.#stop = effect(() => {
      const version = app.store.historyVersion.value;
      if (version !== this.#rulesVersion) this.#hasRules = false; // a bridge that was restarted may have other rules
      this.#rulesVersion = version;
      const standing = app.store.alarms.value.filter((one) => one.deviceId === deviceId);
      const seen = JSON.stringify([version, history.range.value, standing.map(({ id, state }) => [id, state])]);
      if (seen !== known) this.#refresher.request();
      known = seen;
      this.#standing = standing;
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  /** What fails to load is tried again by the refresher. */
  async #load(): Promise<void> {
    if (this.#isClosed) return;
    const { api } = this.#app;
    if (!this.#hasRules) {
      this.rules.value = await api.alarmRules();
      this.#hasRules = true;
    }
    const { from, to } = this.#history.span.peek();
    const span = { from: from - EARLIER_MS, to };
    const { alarms } = await api.alarms({ state: "all", device: this.#deviceId, span, limit: MAX_ALARMS });
    const listed = new Set(alarms.map(({ id }) => id));
    if (!this.#isClosed) this.alarms.value = [...alarms, ...this.#standing.filter(({ id }) => !listed.has(id))];
  }
}
