const WINDOW = 64;

/**
 * How far behind live this page is: how much longer than usual the newest message took. Usual is the quickest of a run of
 * messages, so neither a wrong clock nor the length of the way counts.
 */
export class Lag {
  #quickest = Number.POSITIVE_INFINITY;
  #running = Number.POSITIVE_INFINITY;
  #seen = 0;
  #newest = 0;

  /** A message that the bridge sent at `sentAt`, by its clock, was read at `now`, by ours. */
  observe(sentAt: number, now: number): void {
    this.#newest = now - sentAt;
    this.#running = Math.min(this.#running, this.#newest);
    this.#quickest = Math.min(this.#quickest, this.#newest);
    if (++this.#seen < WINDOW) return;
    this.#quickest = Math.min(this.#running, this.#quickest + 1); // a clock that was set is believed, slowly
    this.#running = Number.POSITIVE_INFINITY;
    this.#seen = 0;
  }

  get milliseconds(): number {
    return this.#seen === 0 && this.#quickest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, this.#newest - this.#quickest);
  }

  /** Another connection, perhaps another way. */
  forget(): void {
    this.#quickest = this.#running = Number.POSITIVE_INFINITY;
    this.#seen = this.#newest = 0;
  }
}
