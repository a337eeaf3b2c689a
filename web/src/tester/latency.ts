/** The newest of a run of waits, in milliseconds. */
export class Latency {
  readonly #newest: number[] = [];

  static readonly KEPT = 200;

  add(milliseconds: number): void {
    this.#newest.push(milliseconds);
    if (this.#newest.length > Latency.KEPT) this.#newest.shift();
  }

  /** Null until there is one. */
  get figures(): { readonly newest: number; readonly median: number; readonly highest: number } | null {
    const newest = this.#newest.at(-1);
    if (newest === undefined) return null;
    const sorted = this.#newest.toSorted((a, b) => a - b);
    return { newest, median: sorted[Math.floor(sorted.length / 2)] ?? newest, highest: sorted.at(-1) ?? newest };
  }
}
