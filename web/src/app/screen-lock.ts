import { signal } from "@preact/signals";

/** `insecure`: browsers keep the screen on only for pages by https or of this machine. */
export type ScreenLockState = "off" | "on" | "insecure" | "unsupported" | "refused";

const RETRY_MS = 60_000;

/** Keeps the screen on while the page is visible. Browsers release the lock of a hidden page, and may do so at any time. */
export class ScreenLock {
  readonly state = signal<ScreenLockState>("off");
  #sentinel: WakeLockSentinel | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isWanted = false;

  /** Returns a function that lets the screen turn off again. */
  start(): () => void {
    this.#isWanted = true;
    const request = (): void => void this.#request();
    document.addEventListener("visibilitychange", request);
    addEventListener("pointerdown", request, { passive: true }); // some browsers refuse until the page was pressed
    request();
    return () => {
      this.#isWanted = false;
      document.removeEventListener("visibilitychange", request);
      removeEventListener("pointerdown", request);
      clearTimeout(this.#retry);
      void this.#sentinel?.release().catch(() => undefined);
    };
  }

  async #request(): Promise<void> {
    clearTimeout(this.#retry);
    if (!this.#isWanted || document.hidden || this.state.peek() === "on") return;
    if (!("wakeLock" in navigator)) {
      this.state.value = isSecureContext ? "unsupported" : "insecure";
      return;
    }
    try {
      const sentinel = await navigator.wakeLock.request("screen");
      if (!this.#isWanted) return void (await sentinel.release());
      this.#sentinel = sentinel;
      sentinel.addEventListener("release", () => this.#onRelease(sentinel), { once: true });
      this.state.value = "on";
    } catch {
      this.state.value = "refused"; // such as while the battery is low
      this.#retryLater();
    }
  }

  #onRelease(sentinel: WakeLockSentinel): void {
    if (this.#sentinel !== sentinel) return;
    this.#sentinel = null;
    this.state.value = "off";
    this.#retryLater();
  }

  #retryLater(): void {
    clearTimeout(this.#retry);
    if (this.#isWanted) this.#retry = setTimeout(() => void this.#request(), RETRY_MS);
  }
}
