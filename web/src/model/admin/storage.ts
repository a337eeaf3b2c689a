/** What the store holds and for how long, and what would read a rejected message. */

import { entries, field, list, number, text, time } from "../json";

export const HELD_KINDS = ["readings", "rollups", "rejected", "commands", "audit", "alarms"] as const;
export type HeldKindName = (typeof HELD_KINDS)[number];

/** Null where there is no limit, or nothing was counted. */
export interface HeldKind {
  readonly kind: HeldKindName;
  readonly days: number | null;
  readonly limit: number | null;
  readonly settings: readonly string[];
  readonly count: number | null;
  readonly oldest: number | null;
}

export interface Retention {
  readonly kinds: readonly HeldKind[];
  readonly sizeBytes: number | null;
  readonly store: string;
}

export interface ProposedReading {
  readonly deviceId: string;
  readonly values: readonly (readonly [name: string, value: number | boolean])[];
  readonly notTaken: readonly (readonly [key: string, reason: string])[];
}

export interface FormatProposal {
  readonly isBest: boolean;
  readonly format: string;
  readonly pattern: string;
  /** For the bridge, unchanged. */
  readonly fields: unknown;
  /** A row for the settings file. */
  readonly setting: string;
  readonly readings: readonly ProposedReading[];
  readonly readingCount: number;
}

export interface FormatProposals {
  /** The subscription that the message came by; null without one, as for messages by HTTP. */
  readonly subscription: { readonly id: string | null; readonly pattern: string } | null;
  /** Only messages of the broker come by a subscription. */
  readonly isFromBroker: boolean;
  readonly proposals: readonly FormatProposal[];
  readonly unreadable: readonly (readonly [format: string, reason: string])[];
}

const TEXT_LENGTH = 8192;

export function parseRetention(body: unknown): Retention {
  return {
    kinds: list(field(body, "kinds")).flatMap(parseKind),
    sizeBytes: number(field(body, "sizeBytes")),
    store: text(field(body, "store")),
  };
}

function parseKind(body: unknown): HeldKind[] {
  const kind = HELD_KINDS.find((one) => one === field(body, "kind"));
  if (kind === undefined) return [];
  return [{
    kind,
    days: number(field(body, "days")),
    limit: number(field(body, "limit")),
    settings: list(field(body, "settings")).map((one) => text(one)),
    count: number(field(body, "count")),
    oldest: time(field(body, "oldest")),
  }];
}

export function parseProposals(body: unknown): FormatProposals {
  const subscription = field(body, "subscription");
  return {
    subscription: subscription == null ? null : { id: text(field(subscription, "id")) || null, pattern: text(field(subscription, "pattern"), TEXT_LENGTH) },
    isFromBroker: field(body, "source") === "mqtt",
    proposals: list(field(body, "proposals")).map((one) => ({
      isBest: field(one, "best") === true,
      format: text(field(one, "format")),
      pattern: text(field(one, "pattern"), TEXT_LENGTH),
      fields: field(one, "fields"),
      setting: text(field(one, "setting"), TEXT_LENGTH),
      readings: list(field(one, "readings")).map(parseReading),
      readingCount: number(field(one, "readingCount")) ?? 0,
    })),
    unreadable: list(field(body, "unreadable")).map((one) => [text(field(one, "format")), text(field(one, "reason"), 1000)]),
  };
}

function parseReading(body: unknown): ProposedReading {
  const values = entries(field(body, "values")).flatMap(([name, value]) =>
    typeof value === "number" || typeof value === "boolean" ? [[name, value] as const] : [],
  );
  return { deviceId: text(field(body, "deviceId")), values, notTaken: entries(field(body, "notTaken")).map(([key, reason]) => [key, text(reason)]) };
}

/** Why a proposal cannot be applied here; null if it can. */
export function obstacleOf({ isFromBroker, subscription }: FormatProposals): "noTopic" | "inFile" | "stored" | null {
  if (!isFromBroker) return "noTopic";
  if (subscription === null) return null;
  return subscription.id === null ? "inFile" : "stored";
}
