/**
 * An alarm, as the bridge's record says. The page decides nothing about it: no state, priority or limit.
 *
 * Rules and texts may be unknown to this page: `alarm-text.ts` in `i18n/` then shows the record's own English message.
 */

import type { Severity } from "../devices/issues";
import { field, list, number, text, time } from "../json";
import type { Value } from "../wire";

/** The most urgent first. Alarms of the lowest are only for pages like this one. */
export const PRIORITIES = ["critical", "high", "medium", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

const STATES = ["normal", "unacknowledged", "acknowledged", "returned", "latched"] as const;
/**
 * After ISA-18.2. In `unacknowledged` and `acknowledged` the condition stands. `returned`: it is over before anybody has
 * acknowledged. `latched`: it is over, and the alarm stays until somebody resets it.
 */
export type AlarmState = (typeof STATES)[number];

export interface Peak {
  readonly value: Value;
  readonly at: number;
}

/** A violation that became known only after it was over. */
export interface Past {
  readonly from: number;
  readonly to: number;
}

/** Times are milliseconds since the epoch; `value`, `peak` and `limit` are in `unit`. */
export interface Alarm {
  readonly id: string;
  readonly rule: string;
  /** Null for an alarm of the bridge itself. */
  readonly deviceId: string | null;
  readonly site: string | null;
  readonly room: string | null;
  readonly field: string | null;
  readonly priority: Priority;
  readonly state: AlarmState;
  readonly value: Value | null;
  readonly unit: string | null;
  readonly limit: number | null;
  readonly peak: Peak | null;
  /** A key of the message catalogues. */
  readonly standard: string | null;
  readonly indicative: boolean;
  readonly message: string;
  readonly advice: string;
  readonly raisedAt: number | null;
  readonly clearedAt: number | null;
  readonly acknowledgedAt: number | null;
  readonly acknowledgedBy: string | null;
  readonly comment: string | null;
  readonly shelvedUntil: number | null;
  readonly suppressedBy: string | null;
  readonly outOfService: boolean;
  /** Whether it was the first of its group: the alarms of one rule at one site that stand together. */
  readonly first: boolean;
  readonly group: string | null;
  readonly past: Past | null;
}

export interface AlarmPage {
  readonly alarms: readonly Alarm[];
  /** Where the next page starts; null after the last. */
  readonly next: string | null;
  /** Whether the bridge still judges readings of before its start, so that alarms may be missing. */
  readonly isCatchingUp: boolean;
}

const MESSAGE_LENGTH = 600;
const COMMENT_LENGTH = 1000;
const RANK: Readonly<Record<Priority, number>> = { critical: 0, high: 1, medium: 2, low: 3 };
const SEVERITIES: Readonly<Record<Priority, Severity>> = { critical: "alarm", high: "alarm", medium: "warning", low: "notice" };

export function parseAlarmPage(body: unknown): AlarmPage {
  return { alarms: parseAlarms(field(body, "alarms")), next: text(field(body, "next")) || null, isCatchingUp: field(body, "catchingUp") === true };
}

export function parseAlarms(body: unknown): Alarm[] {
  return list(body).flatMap((record) => parseAlarm(record) ?? []);
}

/** Null without an id, or with a state that this page does not know. An unknown priority reads as a high one, so that it is seen. */
export function parseAlarm(body: unknown): Alarm | null {
  const optional = (name: string): string | null => text(field(body, name)) || null;
  const at = (name: string): number | null => time(field(body, name));
  const id = text(field(body, "id"));
  const state = STATES.find((one) => one === field(body, "state"));
  if (!id || state === undefined) return null;
  return {
    id,
    rule: text(field(body, "rule")),
    deviceId: optional("deviceId"),
    site: optional("site"),
    room: optional("room"),
    field: optional("field"),
    priority: asPriority(field(body, "priority")) ?? "high",
    state,
    value: figure(field(body, "value")),
    unit: optional("unit"),
    limit: number(field(body, "limit")),
    peak: parsePeak(field(body, "peak")),
    standard: optional("standard"),
    indicative: field(body, "indicative") === true,
    message: text(field(body, "message"), MESSAGE_LENGTH),
    advice: text(field(body, "advice"), MESSAGE_LENGTH),
    raisedAt: at("raisedAt"),
    clearedAt: at("clearedAt"),
    acknowledgedAt: at("acknowledgedAt"),
    acknowledgedBy: optional("acknowledgedBy"),
    comment: text(field(body, "comment"), COMMENT_LENGTH) || null,
    shelvedUntil: at("shelvedUntil"),
    suppressedBy: optional("suppressedBy"),
    outOfService: field(body, "outOfService") === true,
    first: field(body, "first") === true,
    group: optional("group"),
    past: parsePast(field(body, "past")),
  };
}

export function asPriority(value: unknown): Priority | null {
  return PRIORITIES.find((one) => one === value) ?? null;
}

/** Whether the condition still stands. */
export function isActive({ state }: Alarm): boolean {
  return state === "unacknowledged" || state === "acknowledged";
}

/** Whether it is in any state but normal. */
export function isStanding({ state }: Alarm): boolean {
  return state !== "normal";
}

/** Whether nobody has acknowledged it. */
export function isUnacknowledged({ state }: Alarm): boolean {
  return state === "unacknowledged" || state === "returned";
}

/** Whether an operator hid it. */
export function isHidden({ shelvedUntil, outOfService }: Alarm): boolean {
  return shelvedUntil !== null || outOfService;
}

/** Whether it is not announced: hidden, or another alarm of the device says more. */
export function isQuiet(alarm: Alarm): boolean {
  return isHidden(alarm) || alarm.suppressedBy !== null;
}

/** Whether people are to be interrupted by it. */
export function isUrgent({ priority }: Alarm): boolean {
  return priority === "critical" || priority === "high";
}

/** Whether it is in the banner of every page: it stands, or nobody has seen yet that it did. */
export function isInBanner(alarm: Alarm): boolean {
  return isUrgent(alarm) && !isQuiet(alarm) && (isActive(alarm) || alarm.state === "returned");
}

/** Whether people are told of it now: urgent, active, and nobody has acknowledged it. */
export function isCalling(alarm: Alarm): boolean {
  return isUrgent(alarm) && !isQuiet(alarm) && alarm.state === "unacknowledged";
}

/** The most urgent first; among these the unacknowledged, then the newest. */
export function byUrgency(one: Alarm, other: Alarm): number {
  return (
    RANK[one.priority] - RANK[other.priority] ||
    Number(isUnacknowledged(other)) - Number(isUnacknowledged(one)) ||
    byNewest(one, other)
  );
}

export function byNewest(one: Alarm, other: Alarm): number {
  return (other.raisedAt ?? 0) - (one.raisedAt ?? 0) || (one.id < other.id ? -1 : 1);
}

export function morePressing(one: Priority | null, other: Priority): Priority {
  return one === null || RANK[other] < RANK[one] ? other : one;
}

export function severityOfPriority(priority: Priority | null): Severity {
  return priority === null ? "none" : SEVERITIES[priority];
}

export type PriorityCounts = Readonly<Record<Priority, number>>;

export function countByPriority(alarms: Iterable<Alarm>): PriorityCounts {
  const counts = { critical: 0, high: 0, medium: 0, low: 0 };
  for (const { priority } of alarms) counts[priority]++;
  return counts;
}

function parsePeak(body: unknown): Peak | null {
  const [value, at] = [figure(field(body, "value")), time(field(body, "at"))];
  return value === null || at === null ? null : { value, at };
}

function parsePast(body: unknown): Past | null {
  const [from, to] = [time(field(body, "from")), time(field(body, "to"))];
  return from === null || to === null ? null : { from, to };
}

function figure(value: unknown): Value | null {
  return typeof value === "boolean" ? value : number(value);
}
