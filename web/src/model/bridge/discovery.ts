/** A survey of the broker's topics, and the subscriptions of the bridge. */

import { entries, field, list, number, text } from "../json";
import type { Cause, Reason } from "../reason";
import { causeIn } from "../reason";

export type FindingState = "new" | "announced" | "subscribed" | "none";

export interface FoundDevice {
  readonly id: string;
  readonly values: readonly (readonly [name: string, value: number | boolean | string])[];
}

/** Topics that one subscription takes or would take, or that carry no reading for the same reason. */
export interface TopicFinding {
  readonly state: FindingState;
  readonly pattern: string;
  readonly format: string;
  readonly family: string;
  /** Why there is no reading, or why some messages are none; the bridge's own text. */
  readonly reason: string;
  readonly cause?: Cause;
  readonly topics: readonly string[];
  readonly topicCount: number;
  readonly messages: number;
  readonly devices: readonly FoundDevice[];
  readonly deviceCount: number;
  readonly units: Readonly<Record<string, string>>;
  /** Keys that are not taken, each with the reason. */
  readonly notTaken: readonly (readonly [key: string, reason: Reason])[];
  /** Topics without readings that the pattern matches too. */
  readonly alsoMatches: number;
}

export interface Discovery {
  readonly state: "idle" | "listening" | "finished" | "failed";
  readonly reason: string;
  readonly cause?: Cause;
  readonly messages: number;
  readonly topics: number;
  readonly dropped: number;
  readonly findings: readonly TopicFinding[];
}

export interface SubscriptionItem {
  /** Null for one of the settings file, which the page cannot remove. */
  readonly id: string | null;
  readonly pattern: string;
  readonly kind: string;
  readonly format: string;
  /** Why the broker refused it; empty if it did not. */
  readonly refused: string;
  readonly cause?: Cause;
  /** Since it was added, at this bridge. */
  readonly messages: number;
  /** Over the last minute; null for some seconds after the start of the bridge. */
  readonly perMinute: number | null;
}

const STATES: Readonly<Record<string, FindingState>> = { new: "new", announced: "announced", subscribed: "subscribed" };
const TEXT_LENGTH = 1000;

export function parseDiscovery(body: unknown): Discovery {
  const state = text(field(body, "state"));
  return {
    state: state === "listening" || state === "finished" || state === "failed" ? state : "idle",
    reason: text(field(body, "reason"), TEXT_LENGTH),
    ...causeIn(body),
    messages: count(body, "messages"),
    topics: count(body, "topics"),
    dropped: count(body, "dropped"),
    findings: list(field(body, "findings")).map(parseFinding),
  };
}

function parseFinding(body: unknown): TopicFinding {
  return {
    state: STATES[text(field(body, "state"))] ?? "none",
    pattern: text(field(body, "pattern"), TEXT_LENGTH),
    format: text(field(body, "format")),
    family: text(field(body, "family")),
    reason: text(field(body, "reason"), TEXT_LENGTH),
    ...causeIn(body),
    topics: list(field(body, "topics")).map((one) => text(one, TEXT_LENGTH)),
    topicCount: count(body, "topicCount"),
    messages: count(body, "messages"),
    devices: list(field(body, "devices")).map((one) => ({ id: text(field(one, "id")), values: entries(field(one, "values")).flatMap(scalar) })),
    deviceCount: count(body, "deviceCount"),
    units: Object.fromEntries(texts(field(body, "units"))),
    notTaken: texts(field(body, "notTaken")).map(([key, reason]) => [key, { text: reason, ...causeIn(field(body, "notTakenCauses"), key) }]),
    alsoMatches: count(body, "alsoMatches"),
  };
}

export function parseSubscriptions(body: unknown): SubscriptionItem[] {
  return list(field(body, "subscriptions")).map((one) => ({
    id: text(field(one, "id")) || null,
    pattern: text(field(one, "pattern"), TEXT_LENGTH),
    kind: text(field(one, "kind")),
    format: text(field(one, "format")),
    refused: text(field(one, "refused"), TEXT_LENGTH),
    ...causeIn(one),
    messages: count(one, "messages"),
    perMinute: number(field(one, "perMinute")),
  }));
}

function count(body: unknown, name: string): number {
  return number(field(body, name)) ?? 0;
}

function texts(body: unknown): [string, string][] {
  return entries(body).map(([name, value]) => [name, text(value, TEXT_LENGTH)]);
}

function scalar([name, value]: [string, unknown]): [string, number | boolean | string][] {
  return typeof value === "number" || typeof value === "boolean" || typeof value === "string" ? [[name, value]] : [];
}
