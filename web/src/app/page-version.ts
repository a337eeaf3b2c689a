import { entryScript } from "../model/wall/page-version";

const INTERVAL_MS = 5 * 60_000;
const TIMEOUT_MS = 10_000;
/** After a bridge has started, not all pages ask it at once. */
const SPREAD_MS = 10_000;

/** Loads the page again once the bridge serves a new version of it, for pages that nobody reloads. */
export class PageVersion {
  readonly #base: URL;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(base: URL) {
    this.#base = base;
  }

  /** Returns a function that stops it. */
  start(): () => void {
    const check = (): void => this.checkSoon();
    addEventListener("online", check);
    this.#schedule(INTERVAL_MS);
    return () => {
      this.#isStopped = true;
      removeEventListener("online", check);
      clearTimeout(this.#timer);
    };
  }

  /** The bridge may have been replaced. */
  checkSoon(): void {
    this.#schedule(Math.random() * SPREAD_MS);
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#check(), milliseconds);
  }

  async #check(): Promise<void> {
    const served = await this.#served().catch(() => null);
    const own = entryScript(document.head.innerHTML);
    if (!this.#isStopped && served !== null && own !== null && served !== own) location.reload();
    this.#schedule(INTERVAL_MS);
  }

  async #served(): Promise<string | null> {
    const response = await fetch(this.#base, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    return response.ok ? entryScript(await response.text()) : null;
  }
}
