/** When an alarm was active: for the bands on charts. */

import type { TimeSpan } from "../history/time-range";
import type { Alarm, Priority } from "./alarm";
import { isActive } from "./alarm";

export interface AlarmSpan extends TimeSpan {
  readonly priority: Priority;
}

/** The parts of `span` in which the condition of an alarm of this field stood, also those that became known later. */
export function alarmSpans(alarms: readonly Alarm[], name: string, span: TimeSpan): AlarmSpan[] {
  return alarms.flatMap((alarm): AlarmSpan[] => {
    if (alarm.field !== name) return [];
    const from = alarm.past?.from ?? alarm.raisedAt;
    const to = alarm.past?.to ?? (isActive(alarm) ? span.to : alarm.clearedAt);
    if (from === null || to === null || to < span.from || from > span.to) return [];
    return [{ from: Math.max(from, span.from), to: Math.min(to, span.to), priority: alarm.priority }];
  });
}
