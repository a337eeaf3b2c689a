/** What is marked on the time axis of a device's charts: alarms, times without data, commands, and notes. */

import type { Alarm } from "../alarms/alarm";
import { isActive } from "../alarms/alarm";
import type { Command } from "../command";
import type { Note } from "../notes";
import type { TimeSpan } from "./time-range";

export type AnnotationKind = "alarm" | "offline" | "command" | "note";

interface Common {
  readonly id: string;
  readonly at: number;
  /** The end of what lasts; null for a moment. */
  readonly to: number | null;
  /** Null: of all measurements. */
  readonly field: string | null;
}

export type Annotation = Common &
  ({ readonly kind: "alarm" | "offline"; readonly alarm: Alarm } | { readonly kind: "command"; readonly command: Command } | { readonly kind: "note"; readonly note: Note });

/** The alarm that a device is silent. */
const SILENCE = "no-data";
/** More are neither drawn nor listed: the earliest are left out. */
export const MAX_ANNOTATIONS = 100;

/** By time, within the span. */
export function annotationsOf(alarms: readonly Alarm[], commands: readonly Command[], notes: readonly Note[], span: TimeSpan): Annotation[] {
  const all = [
    ...alarms.flatMap((alarm) => ofAlarm(alarm, span) ?? []),
    ...commands.map((command): Annotation => ({ kind: "command", id: command.id, at: command.createdAt, to: null, field: null, command })),
    ...notes.map((note): Annotation => ({ kind: "note", id: note.id, at: note.at, to: null, field: note.field, note })),
  ];
  return all
    .filter(({ at, to }) => at <= span.to && (to ?? at) >= span.from)
    .sort((one, other) => one.at - other.at)
    .slice(-MAX_ANNOTATIONS);
}

function ofAlarm(alarm: Alarm, span: TimeSpan): Annotation | null {
  const at = alarm.past?.from ?? alarm.raisedAt;
  const to = alarm.past?.to ?? (isActive(alarm) ? span.to : alarm.clearedAt);
  return at === null ? null : { kind: alarm.rule === SILENCE ? "offline" : "alarm", id: alarm.id, at, to: to ?? at, field: alarm.field, alarm };
}

/** Those of a measurement. */
export function annotationsFor(annotations: readonly Annotation[], name: string): readonly Annotation[] {
  return annotations.filter(({ field }) => field === null || field === name);
}
