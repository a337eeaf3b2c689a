import { effect, signal } from "@preact/signals";

import type { AlarmQuery } from "../api/client";
import { Refresher } from "../api/refresher";
import type { Alarm } from "../model/alarms/alarm";
import type { App } from "./app";

export interface ListedAlarms {
  readonly alarms: readonly Alarm[];
  /** Where the next page starts; null after the last. */
  readonly next: string | null;
}

/** A list of alarms that the bridge keeps, loaded again whenever any alarm changes. */
export class AlarmList {
  readonly listed = signal<ListedAlarms | null>(null);
  readonly error = signal<unknown>(null);
  readonly isLoading = signal(false);
  readonly #app: App;
  readonly #query: () => AlarmQuery;
  readonly #refresher = new Refresher(() => this.#load());
  readonly #stop: () => void;
  #listedQuery = "";
  #isClosed = false;

  /** `query` may read signals: the list is loaded again when they change. */
  constructor(app: App, query: () => AlarmQuery) {
    this.#app = app;
    this.#query = query;
    this.#stop = effect(() => {
      app.store.alarms.value;
      query();
      this.#refresher.request();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  refresh(): void {
    this.#refresher.request();
  }

  /** Adds the next page. */
  async loadOlder(): Promise<void> {
    const { listed } = this;
    const before = listed.peek()?.next ?? null;
    if (before === null || this.isLoading.peek()) return;
    const page = await this.#fetch(before);
    const shown = listed.peek();
    if (page === null || shown?.next !== before) return; // loaded anew meanwhile
    listed.value = { alarms: [...shown.alarms, ...page.alarms], next: page.next };
  }

  /** Pages that were added stay, unless the list is another one now. */
  async #load(): Promise<void> {
    if (this.#isClosed) return;
    const query = JSON.stringify(this.#query());
    const page = await this.#fetch(null);
    if (page === null || this.#isClosed || query !== JSON.stringify(this.#query())) return;
    const shown = this.#listedQuery === query ? this.listed.peek() : null;
    this.#listedQuery = query;
    this.listed.value = shown === null || page.next === null ? page : continued(page, shown);
  }

  async #fetch(before: string | null): Promise<ListedAlarms | null> {
    this.isLoading.value = true;
    try {
      const page = await this.#app.api.alarms({ ...this.#query(), before });
      this.error.value = null;
      return page;
    } catch (error) {
      this.error.value = error;
      return null;
    } finally {
      this.isLoading.value = false;
    }
  }
}

function continued(page: ListedAlarms, { alarms, next }: ListedAlarms): ListedAlarms {
  if (alarms.length <= page.alarms.length) return page;
  const listed = new Set(page.alarms.map(({ id }) => id));
  return { alarms: [...page.alarms, ...alarms.filter(({ id }) => !listed.has(id))], next };
}
