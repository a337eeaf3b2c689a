/** The state of all devices in a few words that are true. */

import type { Alarm, Priority } from "../alarms/alarm";
import { countByPriority, isInBanner, isQuiet } from "../alarms/alarm";
import type { AlarmKnowledge } from "../alarms/book";
import type { Severity } from "./issues";
import type { RankedDevice } from "./ranking";
import { HOLD_MS } from "./ranking";

/** Alarms by their priority, then devices and rooms. */
type Counted = Priority | "attention" | "air" | "silent";

export type Statement = { readonly kind: Counted; readonly count: number } | { readonly kind: "noAlarm" | "well" | "alarmsUnknown" | "alarmsCatchingUp" | "alarmsHidden" };

export interface Headline {
  readonly severity: Severity;
  /** The most important one first. */
  readonly statements: readonly [Statement, ...Statement[]];
}

export interface StandingAlarms {
  readonly alarms: readonly Alarm[];
  readonly knowledge: AlarmKnowledge;
}

const ORDER: readonly Counted[] = ["critical", "high", "medium", "attention", "air", "silent", "low"];

/** Says what is true of all devices. A count rises at once and falls only after `HOLD_MS`; alarms end at once, as their banner does. */
export class HeadlineWriter {
  readonly #held = new Map<string, { count: number; at: number }>();

  of(ranked: readonly RankedDevice[], { alarms, knowledge }: StandingAlarms, now: number): Headline {
    const counting = (predicate: (one: RankedDevice) => boolean): RankedDevice[] => ranked.filter(predicate);
    const shown = alarms.filter((one) => !isQuiet(one));
    const airless = counting(({ condition }) => condition.wantsAir);
    const counts: Readonly<Record<Counted, number>> = {
      ...countByPriority(shown),
      attention: this.#hold("attention", counting(needsAttention).length, now),
      air: this.#hold("air", new Set(airless.map(roomOf)).size, now),
      silent: this.#hold("silent", counting(({ condition }) => condition.isSilent).length, now),
    };
    const warnings = this.#hold("warnings", counting(({ severity, alarm }) => severity === "warning" || (severity === "alarm" && alarm === null)).length, now);
    const notices = this.#hold("notices", counting(({ severity }) => severity === "notice").length, now);
    const whole = new Set(ranked.flatMap(({ device }) => device.record?.partOf ?? []));
    const speaksByParts = ({ device }: RankedDevice): boolean => device.measuredAt === null && whole.has(device.id);
    const unwell = this.#hold("unwell", counting((one) => !one.condition.isWell && !speaksByParts(one)).length, now);
    const calm = notices + shown.length > 0 ? "notice" : "none";
    const severity = shown.some(isInBanner) ? "alarm" : warnings + counts.medium > 0 ? "warning" : calm;
    const statements: Statement[] = ORDER.filter((kind) => counts[kind] > 0).map((kind) => ({ kind, count: counts[kind] }));
    if (knowledge === "unknown") statements.push({ kind: "alarmsUnknown" });
    if (knowledge === "catchingUp") statements.push({ kind: "alarmsCatchingUp" });
    if (knowledge === "hidden" && unwell > 0) statements.push({ kind: "alarmsHidden" });
    const [first, ...others] = statements;
    return { severity, statements: first ? [first, ...others] : [{ kind: unwell > 0 ? "noAlarm" : "well" }] };
  }

  #hold(name: string, count: number, now: number): number {
    const held = this.#held.get(name);
    if (held && count < held.count && now - held.at < HOLD_MS) return held.count;
    this.#held.set(name, { count, at: now });
    return count;
  }
}

/** For another reason than the alarms that are counted. */
function needsAttention({ condition, alarm }: RankedDevice): boolean {
  return condition.needsAttention && (alarm === null || alarm === "low");
}

/** Devices without a room are counted as a room each. */
function roomOf({ device }: RankedDevice): string {
  const { site, room } = device.record ?? {};
  return room ? JSON.stringify([site ?? "", room]) : device.id;
}
