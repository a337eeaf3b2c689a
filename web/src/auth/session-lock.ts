/** Of all windows of this page one at a time: what renews a session works once, and they share it. */

const NAME = "sensor-bridge.renewal";
const APART_MS = 3000;

/** Runs `job` in its turn. Browsers give turns to pages by HTTPS or of this machine; elsewhere all but the window in use wait a little. */
export async function inTurn<T>(job: () => Promise<T>): Promise<T> {
  if ("locks" in navigator) return navigator.locks.request(NAME, job);
  if (!document.hasFocus()) await new Promise((waited) => setTimeout(waited, Math.random() * APART_MS));
  return job();
}
