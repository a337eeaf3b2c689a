/** Who looks at the page, what he may do, and how long: what the bridge says of it. */

import { field, list, number, text, time } from "../model/wire";

export const RIGHTS = ["see", "send", "command", "manage", "administer"] as const;
export type Right = (typeof RIGHTS)[number];
export type Role = "viewer" | "operator" | "admin";

export interface Me {
  readonly name: string;
  readonly rights: ReadonlySet<Right>;
  /** Of some devices only. */
  readonly bounded: boolean;
  /** Until when what the browser shows is good, by the bridge's clock; null for ever. */
  readonly expires: number | null;
  /** Whether somebody must show who he is; if not, all that stands here is of no matter. */
  readonly required: boolean;
}

/** What a login or a renewal gives beside cookies: to be shown on connections that are open. */
export interface Token {
  readonly text: string;
  readonly seconds: number;
}

/** Why somebody who was in is not any more. */
export type Left = "out" | "expired" | "revoked" | "replayed";
export const LEFT: readonly Left[] = ["out", "expired", "revoked", "replayed"];

export function parseMe(body: unknown): Me {
  const allowed = list(field(body, "rights"));
  return {
    name: text(field(body, "name")),
    rights: new Set(RIGHTS.filter((right) => allowed.includes(right))),
    bounded: field(body, "scope") != null,
    expires: time(field(body, "expires")),
    required: field(body, "required") !== false,
  };
}

export function parseToken(body: unknown): Token {
  return { text: text(field(body, "access_token"), LONGEST_TOKEN), seconds: number(field(body, "expires_in")) ?? 0 };
}

/** By what he may do, which is all that a role is. */
export function roleOf({ rights }: Me): Role {
  if (rights.has("administer")) return "admin";
  return rights.has("command") ? "operator" : "viewer";
}

/** With a quarter of the time left or a little more, as `chance` (0 to 1) has it: windows of one session do not ask together. */
export function renewAfter(milliseconds: number, chance: number): number {
  return Math.max((0.75 - 0.1 * chance) * milliseconds, SOONEST_MS);
}

/**
 * The codes are those by which the token and what renews it were refused; `isOver`: its time had come. Without either cookie
 * somebody has logged out, in another window.
 */
export function whyLeft(token: string, renewal: string, isOver: boolean): Left {
  if (renewal === "replayed") return "replayed";
  if (token === "revoked") return "revoked";
  return isOver || token === "expired" || renewal !== MISSING ? "expired" : "out";
}

/** The link of the first admin ends in a secret: `#setup=…`. */
export function setupIn(hash: string): string | null {
  return /^#setup=([\w-]+)$/.exec(hash)?.[1] ?? null;
}

export const MISSING = "missing";
const SOONEST_MS = 1000;
const LONGEST_TOKEN = 4096;
