const LOCK_NAME = "sensor-bridge.renewal";
const MAX_DELAY_MS = 3000;

/**
 * Runs `job` while no other tab renews the session: a refresh token works once, and all tabs share it. The Web Locks API needs a
 * secure context; without it, tabs in the background wait a random time instead.
 */
export async function withSessionLock<T>(job: () => Promise<T>): Promise<T> {
  if ("locks" in navigator) return navigator.locks.request(LOCK_NAME, job);
  if (!document.hasFocus()) await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_DELAY_MS));
  return job();
}
