/** The HTTP `Date` header has a resolution of one second; smaller differences are ignored. */
const TOLERANCE_MS = 1500;

/** The bridge's clock. Times are shown by it, because the browser's clock may be wrong. */
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
