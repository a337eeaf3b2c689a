import { computed, effect, signal } from "@preact/signals";

import { Refresher } from "../api/refresher";
import type { Command } from "../model/command";
import { annotationsOf } from "../model/history/annotations";
import { MINUTE } from "../model/history/time-range";
import type { NewNote, Note } from "../model/notes";
import type { App } from "./app";
import type { DeviceAlarms } from "./device-alarms";
import type { DeviceHistory } from "./device-history";

const INTERVAL_MS = MINUTE;

/** What is marked in a device's charts. Notes and commands are loaded for their time range, and again each minute. */
export class DeviceAnnotations {
  readonly annotations = computed(() => annotationsOf(this.#alarms.alarms.value, this.#commands.value, this.#notes.value, this.#history.span.value));
  readonly #app: App;
  readonly #deviceId: string;
  readonly #history: DeviceHistory;
  readonly #alarms: DeviceAlarms;
  readonly #notes = signal<readonly Note[]>([]);
  readonly #commands = signal<readonly Command[]>([]);
  readonly #refresher = new Refresher(() => this.#load());
  readonly #stops: readonly (() => void)[];
  #isClosed = false;

  constructor(app: App, deviceId: string, history: DeviceHistory, alarms: DeviceAlarms) {
    this.#app = app;
    this.#deviceId = deviceId;
    this.#history = history;
    this.#alarms = alarms;
    const timer = setInterval(() => {
      if (!document.hidden) this.#refresher.request();
    }, INTERVAL_MS);
    this.#stops = [
      () => clearInterval(timer),
      effect(() => {
        app.store.historyVersion.value;
        history.range.value;
        this.#refresher.request();
      }),
    ];
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
  }

  /** Throws `ApiError`. */
  async add(note: Omit<NewNote, "device">): Promise<void> {
    await this.#app.api.addNote({ ...note, device: this.#deviceId });
    await this.#load();
  }

  /** Throws `ApiError`. */
  async remove(id: string): Promise<void> {
    await this.#app.api.removeNote(id);
    await this.#load();
  }

  /** What fails to load is tried again by the refresher. */
  async #load(): Promise<void> {
    if (this.#isClosed) return;
    const { from, to } = this.#history.span.peek();
    const [notes, commands] = await Promise.all([
      this.#app.api.notes(this.#deviceId, { from, to: to + INTERVAL_MS }),
      this.#app.api.commands(this.#deviceId),
    ]);
    if (this.#isClosed) return;
    this.#notes.value = notes;
    this.#commands.value = commands;
  }
}
