/** The bridge's audit log. */

import { field, list, number, text, time } from "./json";

/** The actions of the audit log, by the bridge's names. */
export const AUDIT_ACTIONS = [
  "login", "login refused", "login delayed", "logout", "refresh replayed", "refused", "password changed", "password refused",
  "command", "command refused",
  "device added", "device changed", "device removed", "note added", "note removed",
  "user added", "user changed", "user removed",
  "key added", "key rotated", "key removed", "link added", "link removed", "quarantine cleared",
  "subscription added", "subscription removed", "survey",
  "alarm acknowledge", "alarm reset", "alarm shelve", "alarm unshelve", "alarm out-of-service", "alarm in-service",
  "anomaly wrong", "commands after advice on", "commands after advice off",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export type Outcome = "done" | "refused" | "delayed";

export interface AuditEvent {
  readonly id: string;
  readonly at: number;
  readonly action: string;
  readonly actor: string;
  readonly actorKind: string;
  readonly address: string;
  readonly target: string;
  readonly details: readonly (readonly [name: string, value: string])[];
  /** Identical events within a second are merged; within a minute when unauthenticated. */
  readonly count: number;
}

/** Empty strings match everything; `before` is the id of the oldest event already loaded. */
export interface AuditQuery {
  readonly action: string;
  readonly actor: string;
  readonly target: string;
  readonly before: string | null;
}

export interface AuditEventPage {
  readonly events: readonly AuditEvent[];
  /** Where the next page starts; null after the last. */
  readonly next: string | null;
}

const PAGE_SIZE = 50;
const MAX_DETAIL_LENGTH = 200;

export function parseAudit(body: unknown): AuditEventPage {
  return { events: list(field(body, "acts")).flatMap((one) => parseEvent(one) ?? []), next: text(field(body, "next")) || null };
}

function parseEvent(body: unknown): AuditEvent | null {
  const [id, at] = [text(field(body, "_id")), time(field(body, "timestamp"))];
  if (!id || at === null) return null;
  const more = field(body, "more");
  const details = typeof more === "object" && more !== null ? Object.entries(more) : [];
  return {
    id,
    at,
    action: text(field(body, "act")),
    actor: text(field(body, "by")),
    actorKind: text(field(body, "kind")),
    address: text(field(body, "address")),
    target: text(field(body, "about")),
    details: details.map(([name, value]) => [text(name), text(value, MAX_DETAIL_LENGTH)] as const),
    count: number(field(body, "times")) ?? 1,
  };
}

/** The query string in the bridge's parameter names. */
export function auditSearch({ action, actor, target, before }: AuditQuery): string {
  const parameters = Object.entries({ act: action, by: actor.trim(), about: target.trim(), before: before ?? "" });
  return new URLSearchParams([...parameters.filter(([, value]) => value !== ""), ["limit", String(PAGE_SIZE)]]).toString();
}

export function asAuditAction(action: string): AuditAction | null {
  return AUDIT_ACTIONS.find((one) => one === action) ?? null;
}

export function outcomeOf(action: string): Outcome {
  if (action === "login delayed") return "delayed";
  return /\b(refused|replayed)$/.test(action) ? "refused" : "done";
}
