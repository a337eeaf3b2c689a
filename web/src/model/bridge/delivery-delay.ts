const WINDOW = 64;

/**
 * How far this page lags behind live: how much longer than usual the newest message took. The baseline is the quickest of the
 * last messages, so that neither clock differences nor network latency count.
 */
export class DeliveryDelay {
  #quickest = Number.POSITIVE_INFINITY;
  #running = Number.POSITIVE_INFINITY;
  #count = 0;
  #newest = 0;

  /** `sentAt` is by the bridge's clock, `now` by ours. */
  observe(sentAt: number, now: number): void {
    this.#newest = now - sentAt;
    this.#running = Math.min(this.#running, this.#newest);
    this.#quickest = Math.min(this.#quickest, this.#newest);
    if (++this.#count < WINDOW) return;
    this.#quickest = Math.min(this.#running, this.#quickest + 1); // follows a clock change slowly
    this.#running = Number.POSITIVE_INFINITY;
    this.#count = 0;
  }

  get milliseconds(): number {
    return this.#count === 0 && this.#quickest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, this.#newest - this.#quickest);
  }

  /** A new connection may have another latency. */
  reset(): void {
    this.#quickest = this.#running = Number.POSITIVE_INFINITY;
    this.#count = this.#newest = 0;
  }
}
