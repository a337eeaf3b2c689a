/** What is known of the way to the bridge, and the one word for it that the page shows. */

export type Via = "websocket" | "long-polling" | "http";

export interface Link {
  readonly open: boolean;
  /** How readings come, while they do. */
  readonly via: Via | null;
  /** It was open before. */
  readonly known: boolean;
  /** What was missed is being read. */
  readonly catchingUp: boolean;
  readonly lagMs: number;
  /** Since when nothing comes, by the bridge's clock; null while something does. */
  readonly lostAt: number | null;
}

export type LinkState = "connecting" | "connected" | "behind" | "polling" | "reconnecting";

export const BEHIND_MS = 3000;

export const NO_LINK: Link = { open: false, via: null, known: false, catchingUp: false, lagMs: 0, lostAt: null };

export function linkState(link: Link): LinkState {
  if (!link.open) return link.known ? "reconnecting" : "connecting";
  if (link.catchingUp || link.lagMs > BEHIND_MS) return "behind";
  return link.via === "websocket" ? "connected" : "polling";
}
