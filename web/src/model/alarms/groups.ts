/** Alarms as they are listed: by priority, and within it by rule and site. */

import type { Alarm, Priority } from "./alarm";
import { PRIORITIES, byNewest, isUnacknowledged } from "./alarm";

/** Fewer are shown one by one. */
export const GROUP_SIZE = 3;

export interface AlarmGroup {
  readonly key: string;
  /** The first of the group; else, of those that stand, the one that was raised first. */
  readonly first: Alarm;
  /** `first`, then the others, newest first. */
  readonly alarms: readonly [Alarm, ...Alarm[]];
  /** Whether it is shown as one entry. */
  readonly isCollapsed: boolean;
}

export interface PrioritySection {
  readonly priority: Priority;
  readonly count: number;
  /** The newest first, by the newest alarm of each. */
  readonly groups: readonly AlarmGroup[];
}

/** The sections that have alarms, the most urgent first. */
export function sectionsOf(alarms: readonly Alarm[]): PrioritySection[] {
  return PRIORITIES.flatMap((priority) => {
    const those = alarms.filter((one) => one.priority === priority);
    return those.length === 0 ? [] : [{ priority, count: those.length, groups: groupsOf(those) }];
  });
}

/** The rule and the site of an alarm: what the bridge groups by. */
export function groupKey({ rule, site }: Alarm): string {
  return JSON.stringify([rule, site]);
}

export function countUnacknowledged({ alarms }: AlarmGroup): number {
  return alarms.filter(isUnacknowledged).length;
}

function groupsOf(alarms: readonly Alarm[]): AlarmGroup[] {
  const members = new Map<string, Alarm[]>();
  for (const alarm of [...alarms].sort(byNewest)) {
    const key = groupKey(alarm);
    const known = members.get(key);
    if (known) known.push(alarm);
    else members.set(key, [alarm]);
  }
  return [...members].flatMap(([key, newestFirst]): AlarmGroup[] => {
    if (newestFirst.length < GROUP_SIZE) return newestFirst.map((one) => ({ key: one.id, first: one, alarms: [one], isCollapsed: false }));
    const first = newestFirst.find((one) => one.first) ?? newestFirst.at(-1);
    if (first === undefined) return [];
    return [{ key, first, alarms: [first, ...newestFirst.filter((one) => one !== first)], isCollapsed: true }];
  }).sort((one, other) => byNewest(newestOf(one), newestOf(other)));
}

function newestOf({ alarms: [first, second] }: AlarmGroup): Alarm {
  return second !== undefined && byNewest(second, first) < 0 ? second : first;
}
