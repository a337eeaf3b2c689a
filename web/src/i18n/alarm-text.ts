/**
 * The words of an alarm. The bridge sends English sentences: those of its own rules are said in the language of the page, those
 * of rules that this page does not know, or whose texts an operator has written, as they are.
 */

import type { Alarm, PriorityCounts } from "../model/alarms/alarm";
import { PRIORITIES, byUrgency } from "../model/alarms/alarm";
import type { Measurement, Value } from "../model/wire";
import { ANYONE } from "../model/wire";
import type { AlarmKey } from "../standards/alarms.en";
import { alarms as english } from "../standards/alarms.en";
import { fieldLabel, formats, boundText, sentText, t, valueText } from ".";

const ADVICE: ReadonlyMap<string, AlarmKey> = new Map(
  (Object.keys(english) as AlarmKey[]).filter((key) => key.startsWith("todo.")).map((key) => [english[key], key]),
);
/** More would be spoken for minutes. */
const MAX_SPOKEN = 3;
const PLACEHOLDER = /\{(value|place)\}/g;

/** What is wrong, and where. */
export function messageText(alarm: Alarm): string {
  const { rule, message, value } = alarm;
  const template = englishMessage(rule);
  const found = template === null ? null : wordsOf(template, message);
  const text = found && sentText(`rule.${rule}`);
  if (!found || text === null) return message || rule;
  const shown = { value: typeof value === "number" ? figureText(value, alarm) : found.value, place: found.place };
  return text.replace(PLACEHOLDER, (_, name: "value" | "place") => shown[name]).replace(/ {2,}/g, " ").trim();
}

/** What to do; empty when nothing is said. */
export function adviceText({ advice }: Alarm): string {
  const key = ADVICE.get(advice);
  return (key === undefined ? null : sentText(key)) ?? advice;
}

/** Null without one. */
export function standardText({ standard }: Alarm): string | null {
  return standard === null ? null : sentText(standard) ?? t("assessment.unknown.standard");
}

/** A value or a limit of an alarm's field in the alarm's unit. */
export function figureText(value: Value, { field, unit }: Pick<Alarm, "field" | "unit">): string {
  return typeof value === "boolean" ? valueText(value) : boundText(value, field ?? "", unit ?? "");
}

export function stateText({ state, acknowledgedBy }: Alarm): string {
  return state === "acknowledged" && acknowledgedBy !== null && acknowledgedBy !== ANYONE ? t("alarms.state.acknowledgedBy", { name: acknowledgedBy }) : t(`alarms.state.${state}`);
}

/** A violation that became known when it was over; null for an alarm that was raised. */
export function pastText(alarm: Alarm, table: readonly Measurement[], now: number): string | null {
  const { past, field, limit, value } = alarm;
  if (past === null) return null;
  const times = { from: formats.value.moment(past.from, now), to: formats.value.moment(past.to, now) };
  const measurement = table.find(({ name }) => name === field);
  if (measurement === undefined || limit === null || typeof value !== "number") return t("alarms.past.other", { ...times, message: messageText(alarm) });
  return t(value < limit ? "alarms.past.below" : "alarms.past.above", { ...times, what: fieldLabel(measurement), limit: figureText(limit, alarm) });
}

/** The unacknowledged alarms in words, for the bell. */
export function bellText(counts: PriorityCounts): string {
  const counted = PRIORITIES.flatMap((priority) => (counts[priority] > 0 ? [t(`alarm.counted.${priority}`, { count: counts[priority] })] : []));
  return counted.length === 0 ? t("alarm.bell.none") : t("alarm.bell", { counts: counted.join(", ") });
}

/** What screen readers say of new alarms: the most urgent by name, the others by their number. */
export function speechText(alarms: readonly Alarm[]): string {
  const sorted = [...alarms].sort(byUrgency);
  const spoken = sorted.slice(0, MAX_SPOKEN).map((one) => t(one.priority === "critical" ? "alarm.spoken.critical" : "alarm.spoken.high", { message: messageText(one) }));
  const others = alarms.length - spoken.length;
  return [...spoken, ...(others > 0 ? [t("issue.more", { count: others })] : [])].join(" ");
}

function englishMessage(rule: string): string | null {
  const key = `rule.${rule}`;
  return Object.hasOwn(english, key) ? english[key as AlarmKey] : null;
}

/** The value and the place in a message of this template; null if it is not of it. */
function wordsOf(template: string, message: string): Readonly<Record<"value" | "place", string>> | null {
  const names = [...template.matchAll(PLACEHOLDER)].map(([, name]) => name);
  const pattern = template
    .split(PLACEHOLDER)
    .map((part) => (part === "value" ? "(.*?)" : part === "place" ? "(.*)" : escaped(part)))
    .join("");
  const words = new RegExp(`^${pattern}$`, "su").exec(message);
  if (words === null) return null;
  const of = (name: string): string => words[names.indexOf(name) + 1] ?? "";
  return { value: names.includes("value") ? of("value") : "", place: names.includes("place") ? of("place") : "" };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
