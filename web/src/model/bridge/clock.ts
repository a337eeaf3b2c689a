/** Below this, a difference to the bridge's clock may be the whole seconds of the HTTP `Date` header. */
const TOLERANCE_MS = 1500;

/** Times are told by the bridge's clock, for the reader's may be wrong. */
export class BridgeClock {
  #offset = 0;

  observe(bridgeNow: number, now: number): void {
    const offset = bridgeNow - now;
    if (Math.abs(offset - this.#offset) > TOLERANCE_MS) this.#offset = offset;
  }

  at(now: number): number {
    return now + this.#offset;
  }
}
