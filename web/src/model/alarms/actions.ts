/** What an operator may do with alarms, and what became of it. The bridge decides; the page offers only what it would accept. */

import { field, list, text } from "../json";
import type { Cause } from "../reason";
import { causeIn } from "../reason";
import type { Alarm } from "./alarm";
import { isStanding, isUnacknowledged } from "./alarm";

export const ALARM_ACTIONS = ["acknowledge", "reset", "shelve", "unshelve", "out-of-service", "in-service"] as const;
export type AlarmAction = (typeof ALARM_ACTIONS)[number];

const HOUR_SECONDS = 3600;
/** How long an alarm can be shelved, in seconds. */
export const SHELVE_SECONDS = { "1h": HOUR_SECONDS, "8h": 8 * HOUR_SECONDS, "1d": 24 * HOUR_SECONDS, "7d": 168 * HOUR_SECONDS } as const;
export type ShelveTime = keyof typeof SHELVE_SECONDS;

/** The bridge refuses to shelve a critical alarm for longer. */
const CRITICAL_SHELVE_SECONDS = 8 * HOUR_SECONDS;
/** The bridge acknowledges at most this many at once. */
export const MAX_AT_ONCE = 1000;
export const MAX_COMMENT_LENGTH = 1000;

/** The times for which all of these alarms can be shelved. */
export function shelveTimes(alarms: Iterable<Alarm>): ShelveTime[] {
  const hasCritical = [...alarms].some(({ priority }) => priority === "critical");
  const times = Object.keys(SHELVE_SECONDS) as ShelveTime[];
  return times.filter((one) => !hasCritical || SHELVE_SECONDS[one] <= CRITICAL_SHELVE_SECONDS);
}

/** Whether the bridge would accept the action in the alarm's present state. */
export function allows(alarm: Alarm, action: AlarmAction): boolean {
  switch (action) {
    case "acknowledge":
      return isUnacknowledged(alarm);
    case "reset":
      return alarm.state === "latched";
    case "shelve":
      return isStanding(alarm) && alarm.shelvedUntil === null;
    case "unshelve":
      return alarm.shelvedUntil !== null;
    case "out-of-service":
      return !alarm.outOfService;
    case "in-service":
      return alarm.outOfService;
  }
}

/** An alarm with which the action failed, and the bridge's reason. */
export interface RefusedAction {
  readonly id: string;
  readonly reason: string;
  readonly cause?: Cause;
}

const MAX_REASON_LENGTH = 500;

/** Parses the answer to the acknowledgement of several. */
export function parseRefused(body: unknown): RefusedAction[] {
  return list(field(body, "refused")).flatMap((one) => {
    const id = text(field(one, "id"));
    return id ? [{ id, reason: text(field(one, "reason"), MAX_REASON_LENGTH), ...causeIn(one) }] : [];
  });
}

export function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, number) => items.slice(number * size, (number + 1) * size));
}
