/** What happened to one alarm, and who was notified of it. */

import { field, list, number, text, time } from "../json";

export const TRANSITION_KINDS = [
  "raised", "cleared", "acknowledged", "reset", "shelved", "unshelved", "suppressed", "unsuppressed",
  "out-of-service", "in-service", "repeated", "removed", "past",
] as const;
export type TransitionKind = (typeof TRANSITION_KINDS)[number];

export interface AlarmTransition {
  readonly id: string;
  /** One of `TRANSITION_KINDS`, unless the bridge is newer than this page. */
  readonly kind: string;
  readonly at: number;
  readonly by: string | null;
  readonly comment: string | null;
  /** Raised so often that it clears only after a minute without another violation. */
  readonly isHeld: boolean;
}

const DELIVERY_STATES = ["waiting", "sent", "failed", "cancelled"] as const;

export interface AlarmDelivery {
  readonly target: string;
  readonly state: (typeof DELIVERY_STATES)[number];
  readonly attempts: number;
  readonly at: number | null;
  readonly error: string | null;
}

export interface AlarmDetail {
  /** The oldest first. */
  readonly transitions: readonly AlarmTransition[];
  readonly deliveries: readonly AlarmDelivery[];
}

const COMMENT_LENGTH = 1000;
const MAX_ENTRIES = 200;

export function parseAlarmDetail(body: unknown): AlarmDetail {
  const transitions = list(field(body, "transitions")).flatMap((one) => parseTransition(one) ?? []);
  const deliveries = list(field(body, "deliveries")).flatMap((one) => parseDelivery(one) ?? []);
  return { transitions: transitions.sort((one, other) => one.at - other.at).slice(-MAX_ENTRIES), deliveries: deliveries.slice(-MAX_ENTRIES) };
}

export function asTransitionKind(kind: string): TransitionKind | null {
  return TRANSITION_KINDS.find((one) => one === kind) ?? null;
}

function parseTransition(body: unknown): AlarmTransition | null {
  const [id, kind, at] = [text(field(body, "id")), text(field(body, "kind")), time(field(body, "at"))];
  if (!id || !kind || at === null) return null;
  const comment = text(field(body, "comment"), COMMENT_LENGTH) || null;
  return { id, kind, at, by: text(field(body, "by")) || null, comment, isHeld: field(body, "held") === true };
}

function parseDelivery(body: unknown): AlarmDelivery | null {
  const target = text(field(body, "target"));
  const state = DELIVERY_STATES.find((one) => one === field(body, "state"));
  if (!target || state === undefined) return null;
  return { target, state, attempts: number(field(body, "attempts")) ?? 0, at: time(field(body, "at")), error: text(field(body, "error"), COMMENT_LENGTH) || null };
}
