/** Which page wall mode shows: one after the other, or those with an alarm, as long as there is one. */
export class Rotation {
  readonly #intervalMs: number;
  #key: string | null = null;
  /** Where the page is, or was before it was removed. */
  #index = 0;
  #since = 0;
  #isChosen = false;
  isPaused = false;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * The page to show now; null without any. Pages of `held` are shown at once, also while it is paused, and no other until there are
   * none, except that a page which a person chose stays for one interval.
   */
  step(now: number, keys: readonly string[], held: ReadonlySet<string>): string | null {
    if (keys.length === 0) return (this.#key = null);
    if (now < this.#since) this.#since = now; // the clock was set back
    this.#follow(keys);
    const candidates = keys.filter((key) => held.has(key));
    const isDue = now - this.#since >= this.#intervalMs;
    const current = this.#key;
    if (current === null) this.#show(candidates[0] ?? keys[Math.min(this.#index, keys.length - 1)], keys, now);
    else if (candidates.length > 0 && !candidates.includes(current)) {
      if (!this.#isChosen || isDue) this.#show(after(keys, this.#index, candidates), keys, now);
    } else if (isDue && !(this.isPaused && candidates.length === 0)) {
      this.#show(after(keys, this.#index, candidates.length > 0 ? candidates : keys), keys, now);
    }
    return this.#key;
  }

  /** Shows the page so many after this one. */
  move(by: number, now: number, keys: readonly string[]): void {
    if (keys.length === 0) return;
    this.#follow(keys);
    this.#show(keys[(this.#index + by + keys.length) % keys.length], keys, now);
    this.#isChosen = true;
  }

  #follow(keys: readonly string[]): void {
    const index = this.#key === null ? -1 : keys.indexOf(this.#key);
    if (index >= 0) this.#index = index;
    else this.#key = null;
  }

  #show(key: string | undefined, keys: readonly string[], now: number): void {
    this.#key = key ?? null;
    this.#index = key === undefined ? 0 : keys.indexOf(key);
    this.#since = now;
    this.#isChosen = false;
  }
}

/** The first of `wanted` after a position, beginning anew at the end. */
function after(keys: readonly string[], index: number, wanted: readonly string[]): string | undefined {
  const ordered = [...keys.slice(index + 1), ...keys.slice(0, index + 1)];
  return ordered.find((key) => wanted.includes(key));
}
