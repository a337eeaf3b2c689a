/** User preferences in localStorage. Where it is blocked, a preference lasts until the page is closed. */

export function loadPreference(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function savePreference(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // localStorage is blocked
  }
}
