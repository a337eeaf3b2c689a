import type { Reading } from "../model/wire";
import type { ReadingPage } from "./client";

const INTERVAL_MS = 2000;
const RETRY_MS = 5000;
const PAGE_SIZE = 1000;
const MAX_PAGES = 5;

export interface PollListener {
  onOpen(): void;
  onReadings(readings: readonly Reading[]): void;
  /** Too many readings were missed to load them all. */
  onSkipped(from: number, to: number): void;
  onClose(): void;
}

export interface PollSource {
  readingsAfter(cursor: number, limit: number): Promise<ReadingPage>;
  /** Loads the newest readings and returns the newest cursor. */
  newestCursor(): Promise<number>;
}

/** Polls for new readings over plain HTTP while no live connection is possible. */
export class Poller {
  readonly #source: PollSource;
  readonly #listener: PollListener;
  readonly #cursor: () => number | null;
  /** The running loop; null while stopped. */
  #run: symbol | null = null;

  constructor(source: PollSource, listener: PollListener, cursor: () => number | null) {
    this.#source = source;
    this.#listener = listener;
    this.#cursor = cursor;
  }

  start(): void {
    if (this.#run !== null) return;
    this.#run = Symbol("run");
    void this.#loop(this.#run);
  }

  stop(): void {
    this.#run = null;
  }

  async #loop(run: symbol): Promise<void> {
    const isRunning = (): boolean => this.#run === run;
    while (isRunning()) {
      const succeeded = await this.#poll(isRunning).then(() => true, () => false);
      if (!isRunning()) return;
      if (succeeded) this.#listener.onOpen();
      else this.#listener.onClose();
      await new Promise((resolve) => setTimeout(resolve, succeeded ? INTERVAL_MS : RETRY_MS));
    }
  }

  async #poll(isRunning: () => boolean): Promise<void> {
    const start = this.#cursor() ?? (await this.#source.newestCursor());
    for (let page = 0; page < MAX_PAGES; page++) {
      const { readings, next } = await this.#source.readingsAfter(this.#cursor() ?? start, PAGE_SIZE);
      if (!isRunning()) return;
      this.#listener.onReadings(readings);
      if (next === null) return;
    }
    const from = this.#cursor() ?? start;
    const to = await this.#source.newestCursor();
    if (isRunning() && to > from) this.#listener.onSkipped(from, to);
  }
}
