/** Statistics of the last latencies, in milliseconds. */
export class Latency {
  static readonly MAX_SAMPLES = 200;
  readonly #samples: number[] = [];

  add(milliseconds: number): void {
    this.#samples.push(milliseconds);
    if (this.#samples.length > Latency.MAX_SAMPLES) this.#samples.shift();
  }

  /** Null without samples. */
  get figures(): { readonly newest: number; readonly median: number; readonly highest: number } | null {
    const newest = this.#samples.at(-1);
    if (newest === undefined) return null;
    const sorted = this.#samples.toSorted((a, b) => a - b);
    return { newest, median: sorted[Math.floor(sorted.length / 2)] ?? newest, highest: sorted.at(-1) ?? newest };
  }
}
