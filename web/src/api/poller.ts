import type { Reading } from "../model/wire";
import type { Page } from "./client";

const EVERY_MS = 2000;
const RETRY_MS = 5000;
const PAGE = 1000;
const MOST_PAGES = 5;

export interface PollListener {
  opened(): void;
  readings(readings: readonly Reading[]): void;
  /** More was missed than is worth reading one by one. */
  skipped(from: number, to: number): void;
  closed(): void;
}

export interface PollSource {
  after(cursor: number, limit: number): Promise<Page>;
  /** The newest cursor there is, and everything newest with it. */
  newest(): Promise<number>;
}

/** Asks for what is new by plain HTTP, again and again, while no live connection can be made. */
export class Poller {
  readonly #source: PollSource;
  readonly #listener: PollListener;
  readonly #cursor: () => number | null;
  #turn = 0;

  constructor(source: PollSource, listener: PollListener, cursor: () => number | null) {
    this.#source = source;
    this.#listener = listener;
    this.#cursor = cursor;
  }

  start(): void {
    if (this.#turn % 2 === 0) void this.#run(++this.#turn);
  }

  stop(): void {
    if (this.#turn % 2 === 1) this.#turn++;
  }

  async #run(turn: number): Promise<void> {
    const isOn = (): boolean => this.#turn === turn;
    while (isOn()) {
      const worked = await this.#poll(isOn).then(() => true, () => false);
      if (!isOn()) return;
      if (worked) this.#listener.opened();
      else this.#listener.closed();
      await new Promise((rested) => setTimeout(rested, worked ? EVERY_MS : RETRY_MS));
    }
  }

  async #poll(isOn: () => boolean): Promise<void> {
    const begin = this.#cursor() ?? (await this.#source.newest());
    for (let page = 0; page < MOST_PAGES; page++) {
      const { readings, next } = await this.#source.after(this.#cursor() ?? begin, PAGE);
      if (!isOn()) return;
      this.#listener.readings(readings);
      if (next === null) return;
    }
    const from = this.#cursor() ?? begin;
    const to = await this.#source.newest();
    if (isOn() && to > from) this.#listener.skipped(from, to);
  }
}
