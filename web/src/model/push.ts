/** Notifications of this browser (Web Push): what the bridge answers, and what the page shows. */

import { field, text } from "./json";

export interface PushStatus {
  /** What a browser needs to subscribe, in base64url. */
  readonly publicKey: string;
  readonly readiness: PushReadiness;
}

/** Whether the bridge would notify a browser of this user. */
const READINESS = ["ready", "no-target", "not-installed", "no-user"] as const;
export type PushReadiness = (typeof READINESS)[number];

/** `other-user`: somebody else turned it on in this browser. `unknown`: the bridge did not answer. */
export type PushState =
  | "checking"
  | "unknown"
  | "insecure"
  | "unsupported"
  | Exclude<PushReadiness, "ready">
  | "blocked"
  | "off"
  | "on"
  | "other-user";

/** Why pressing the button changed nothing. `error` is of the browser or of the bridge. */
export type PushFailure =
  | { readonly kind: "dismissed" }
  | { readonly kind: "subscribe"; readonly error: unknown }
  | { readonly kind: "bridge"; readonly error: unknown };

export function parsePushStatus(body: unknown): PushStatus {
  const readiness = READINESS.find((one) => one === field(body, "state"));
  return { publicKey: text(field(body, "publicKey")), readiness: readiness ?? "ready" };
}

export interface PushFacts {
  readonly isSecure: boolean;
  readonly isSupported: boolean;
  readonly permission: NotificationPermission;
  /** Null while the bridge has not answered. */
  readonly readiness: PushReadiness | null;
  /** Whether this browser has a subscription; null while that is not known. */
  readonly isSubscribed: boolean | null;
  /** Whether the current user turned it on in this browser. */
  readonly isOwn: boolean;
}

/** The first reason that stands against a notification; else whether this browser is notified. */
export function pushState({ isSecure, isSupported, permission, readiness, isSubscribed, isOwn }: PushFacts): PushState {
  if (!isSecure) return "insecure";
  if (!isSupported) return "unsupported";
  if (readiness === null) return "unknown";
  if (readiness !== "ready") return readiness;
  if (permission === "denied") return "blocked";
  if (isSubscribed === null) return "unknown";
  if (!isSubscribed) return "off";
  return isOwn ? "on" : "other-user";
}

/** Empty if it is not base64url. */
export function keyBytes(base64url: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

export function isSameKey(one: ArrayBuffer | null | undefined, other: Uint8Array): boolean {
  if (one == null || one.byteLength !== other.length) return false;
  return new Uint8Array(one).every((byte, index) => byte === other[index]);
}
