/** People and API keys, for admins. */

import type { Permission, Role } from "../../auth/identity";
import { field, list, text, time } from "../json";

/** Null is every device. */
export type Scope = { readonly devices: readonly string[]; readonly sites: readonly string[] } | null;

export interface Person {
  readonly name: string;
  readonly role: Role;
  readonly scope: Scope;
  readonly createdAt: number | null;
  readonly isDisabled: boolean;
}

export interface Key {
  readonly id: string;
  readonly name: string;
  readonly kind: "program" | "device";
  readonly rights: readonly string[];
  readonly scope: Scope;
  readonly createdAt: number | null;
  /** Null for never. */
  readonly expires: number | null;
  readonly by: string;
}

/** What became of the keys and public links that a person made who may administer no longer: names and titles. */
export interface MadeKeys {
  readonly ended: readonly string[];
  readonly kept: readonly string[];
  readonly links: readonly string[];
}

export const ROLES = ["viewer", "operator", "admin"] as const satisfies readonly Role[];
const MAX_NAME_LENGTH = 128;

export interface NewKey {
  readonly name: string;
  readonly isOfDevice: boolean;
  readonly rights: readonly Permission[];
  readonly scope: Scope;
  /** Null for never. */
  readonly days: number | null;
}

export function parsePeople(body: unknown): Person[] {
  return list(field(body, "users")).map((one) => ({
    name: text(field(one, "name")),
    role: ROLES.find((role) => role === field(one, "role")) ?? "viewer",
    scope: parseScope(field(one, "scope")),
    createdAt: time(field(one, "createdAt")),
    isDisabled: field(one, "disabled") === true,
  }));
}

export function parseKeys(body: unknown): Key[] {
  return list(field(body, "keys")).map(parseKey).sort((a, b) => a.name.localeCompare(b.name));
}

export function parseKey(body: unknown): Key {
  return {
    id: text(field(body, "id")),
    name: text(field(body, "name")),
    kind: field(body, "kind") === "device" ? "device" : "program",
    rights: texts(field(body, "rights")),
    scope: parseScope(field(body, "scope")),
    createdAt: time(field(body, "createdAt")),
    expires: time(field(body, "expires")),
    by: text(field(body, "by")),
  };
}

export function parseMadeKeys(body: unknown): MadeKeys {
  const names = (part: string, name = "name"): string[] => list(field(body, part)).map((one) => text(field(one, name)));
  return { ended: names("keysEnded"), kept: names("keysKept"), links: names("linksEnded", "title") };
}

function parseScope(body: unknown): Scope {
  return body == null ? null : { devices: texts(field(body, "devices")), sites: texts(field(body, "sites")) };
}

function texts(value: unknown): string[] {
  return list(value).map((one) => text(one, MAX_NAME_LENGTH)).filter(Boolean);
}

/** As the bridge takes it, to replace the scope of a person or key. */
export function scopeBody(scope: Scope): Readonly<Record<string, unknown>> {
  return scope === null ? { scope: null } : { devices: scope.devices, sites: scope.sites };
}

/** One name on each line: a device id may contain a comma. */
export function linesOf(entered: string): string[] {
  return [...new Set(entered.split("\n").map((line) => line.trim()).filter(Boolean))];
}

/** A key expires soon if less than a tenth of its time is left, and at most two weeks. */
export function expiryOf({ expires, createdAt }: Key, now: number): "never" | "expired" | "soon" | "later" {
  if (expires === null) return "never";
  if (expires <= now) return "expired";
  const left = expires - now;
  const whole = createdAt === null ? left : expires - createdAt;
  return left < Math.min(whole / 10, 14 * 86_400_000) ? "soon" : "later";
}
