/** The authenticated user, the access token, and why a session ended. */

import { field, list, number, text, time } from "../model/json";
import { LINK, parseFragment, readParam } from "../model/view-param";

/** The bridge's names. */
export const PERMISSIONS = ["see", "send", "command", "manage", "administer"] as const;
export type Permission = (typeof PERMISSIONS)[number];
export type Role = "viewer" | "operator" | "admin";

export interface Identity {
  readonly name: string;
  readonly permissions: ReadonlySet<Permission>;
  /** Limited to some devices or sites. */
  readonly restricted: boolean;
  /** When the credentials expire, by the bridge's clock; null for never. */
  readonly expires: number | null;
  /** Whether the bridge requires authentication. If not, the other properties are meaningless. */
  readonly required: boolean;
}

/** What a shared link shows, and until when by the bridge's clock. */
export interface SharedView {
  readonly title: string;
  readonly until: number | null;
}

/** Returned by login and refresh; used on connections that cannot use the cookie. */
export interface AccessToken {
  readonly text: string;
  readonly seconds: number;
}

export type SessionEnd = "logout" | "expired" | "revoked" | "replayed";
export const SESSION_ENDS: readonly SessionEnd[] = ["logout", "expired", "revoked", "replayed"];

/** The bridge's error code for a request without a token. */
export const MISSING_TOKEN = "missing";
/** In characters. The bridge refuses others. */
export const PASSWORD_LENGTH = { min: 10, max: 256 } as const;
const MIN_RENEWAL_DELAY_MS = 1000;
const MAX_TOKEN_LENGTH = 4096;
const MAX_NAME_LENGTH = 64;
const MAX_TITLE_LENGTH = 100;
const MAX_LINK_LENGTH = 128;

export function parseIdentity(body: unknown): Identity {
  const granted = list(field(body, "rights"));
  return {
    name: text(field(body, "name")),
    permissions: new Set(PERMISSIONS.filter((permission) => granted.includes(permission))),
    restricted: field(body, "scope") != null,
    expires: time(field(body, "expires")),
    required: field(body, "required") !== false,
  };
}

export function parseToken(body: unknown): AccessToken {
  return { text: text(field(body, "access_token"), MAX_TOKEN_LENGTH), seconds: number(field(body, "expires_in")) ?? 0 };
}

/** Roles are sets of permissions; this is the role that the permissions correspond to. */
export function roleOf({ permissions }: Identity): Role {
  if (permissions.has("administer")) return "admin";
  return permissions.has("command") ? "operator" : "viewer";
}

/** Milliseconds until the renewal: 65 to 75 % of the lifetime. `random` (0 to 1) keeps tabs of one session apart. */
export function renewalDelay(lifetimeMs: number, random: number): number {
  return Math.max((0.75 - 0.1 * random) * lifetimeMs, MIN_RENEWAL_DELAY_MS);
}

export function parseSharedView(body: unknown): SharedView {
  return { title: text(field(body, "title"), MAX_TITLE_LENGTH), until: time(field(body, "until")) };
}

/** The token of a shared link: `link=sbl_…` in the query of the fragment. */
export function sharedLinkIn(hash: string): string | null {
  const token = readParam(parseFragment(hash).query, LINK);
  return token === null || token === "" ? null : token.slice(0, MAX_LINK_LENGTH);
}

/**
 * Why the session ended, from the error codes of the access token and the refresh token. Without either cookie the user logged
 * out in another tab.
 */
export function sessionEndReason(accessCode: string, refreshCode: string, hasExpired: boolean): SessionEnd {
  if (refreshCode === "replayed") return "replayed";
  if (accessCode === "revoked") return "revoked";
  return hasExpired || accessCode === "expired" || refreshCode !== MISSING_TOKEN ? "expired" : "logout";
}

/** What the link for the first admin contains: `#setup=TOKEN&user=NAME`. */
export interface SetupLink {
  /** Works once. */
  readonly token: string;
  /** Empty if the link does not name the admin. */
  readonly userName: string;
}

export function setupLinkIn(hash: string): SetupLink | null {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const token = parameters.get("setup") ?? "";
  return /^[\w-]+$/.test(token) ? { token, userName: text(parameters.get("user"), MAX_NAME_LENGTH) } : null;
}
