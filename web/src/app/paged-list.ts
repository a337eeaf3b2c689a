import { effect, signal } from "@preact/signals";

import { Refresher } from "../api/refresher";

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page starts; null after the last. */
  readonly next: string | null;
}

/** A list that the bridge keeps, newest first, loaded again whenever the query may have changed. */
export class PagedList<Item extends { readonly id: string }, Query> {
  readonly listed = signal<Page<Item> | null>(null);
  readonly error = signal<unknown>(null);
  readonly isLoading = signal(false);
  readonly #fetchPage: (query: Query, before: string | null) => Promise<Page<Item>>;
  readonly #query: () => Query;
  readonly #refresher = new Refresher(() => this.#load());
  readonly #stop: () => void;
  #listedQuery = "";
  #isClosed = false;

  /** `query` may read signals: the list is loaded again when they change. */
  constructor(query: () => Query, fetchPage: (query: Query, before: string | null) => Promise<Page<Item>>) {
    this.#query = query;
    this.#fetchPage = fetchPage;
    this.#stop = effect(() => {
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
    listed.value = { items: [...shown.items, ...page.items], next: page.next };
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

  async #fetch(before: string | null): Promise<Page<Item> | null> {
    this.isLoading.value = true;
    try {
      const page = await this.#fetchPage(this.#query(), before);
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

function continued<Item extends { readonly id: string }>(page: Page<Item>, { items, next }: Page<Item>): Page<Item> {
  if (items.length <= page.items.length) return page;
  const listed = new Set(page.items.map(({ id }) => id));
  return { items: [...page.items, ...items.filter(({ id }) => !listed.has(id))], next };
}
