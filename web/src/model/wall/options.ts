/** Wall mode, in the query of the page's address: `/?wall&every=30&site=Home&room=Kitchen&room=Hall&theme=light`. */

export const DEFAULT_SECONDS = 15;
const MIN_SECONDS = 5;
const MAX_SECONDS = 3600;
const MAX_ROOMS = 100;
const THEMES = ["auto", "light", "dark"] as const;

export interface WallOptions {
  /** How long a room is shown. */
  readonly intervalMs: number;
  /** Only this site; null for every site. */
  readonly site: string | null;
  /** Only these rooms; empty for every room. */
  readonly rooms: readonly string[];
  /** Null: that of this browser, dark if none was chosen. */
  readonly theme: (typeof THEMES)[number] | null;
}

/** Null without `wall` in the query. A value that is not allowed counts as absent. */
export function parseWallOptions(search: string): WallOptions | null {
  const query = new URLSearchParams(search);
  if (!query.has("wall")) return null;
  return {
    intervalMs: 1000 * secondsIn(query.get("every") ?? ""),
    site: query.get("site") || null,
    rooms: query.getAll("room").filter(Boolean).slice(0, MAX_ROOMS),
    theme: THEMES.find((one) => one === query.get("theme")) ?? null,
  };
}

function secondsIn(text: string): number {
  if (!/^\d{1,5}$/.test(text)) return DEFAULT_SECONDS;
  return Math.min(Math.max(Number(text), MIN_SECONDS), MAX_SECONDS);
}
