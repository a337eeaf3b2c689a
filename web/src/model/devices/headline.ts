/** The state of all devices in a few words that are true. */

import type { Severity } from "./issues";
import type { RankedDevice } from "./ranking";
import { HOLD_MS } from "./ranking";

type Counted = "alarm" | "attention" | "air" | "silent";

export type Statement = { readonly kind: Counted; readonly count: number } | { readonly kind: "noAlarm" | "well" };

export interface Headline {
  readonly severity: Severity;
  /** The most important one first. */
  readonly statements: readonly [Statement, ...Statement[]];
}

/** Says what is true of all devices. A count rises at once and falls only after `HOLD_MS`; an alarm ends at once, as its banner does. */
export class HeadlineWriter {
  readonly #held = new Map<string, { count: number; at: number }>();

  of(ranked: readonly RankedDevice[], now: number): Headline {
    const counting = (predicate: (one: RankedDevice) => boolean): RankedDevice[] => ranked.filter(predicate);
    const airless = counting(({ condition }) => condition.wantsAir);
    const counts: Readonly<Record<Counted, number>> = {
      alarm: counting(({ severity }) => severity === "alarm").length,
      attention: this.#hold("attention", counting(({ condition, severity }) => condition.needsAttention && severity !== "alarm").length, now),
      air: this.#hold("air", new Set(airless.map(roomOf)).size, now),
      silent: this.#hold("silent", counting(({ condition }) => condition.isSilent).length, now),
    };
    const warnings = this.#hold("warnings", counting(({ severity }) => severity === "warning").length, now);
    const notices = this.#hold("notices", counting(({ severity }) => severity === "notice").length, now);
    const whole = new Set(ranked.flatMap(({ device }) => device.record?.partOf ?? []));
    const speaksByParts = ({ device }: RankedDevice): boolean => device.measuredAt === null && whole.has(device.id);
    const unwell = this.#hold("unwell", counting((one) => !one.condition.isWell && !speaksByParts(one)).length, now);
    const severity = counts.alarm > 0 ? "alarm" : warnings > 0 ? "warning" : notices > 0 ? "notice" : "none";
    const kinds = (["alarm", "attention", "air", "silent"] as const).filter((kind) => counts[kind] > 0);
    const [first, ...others] = kinds.map((kind) => ({ kind, count: counts[kind] }));
    return { severity, statements: first ? [first, ...others] : [{ kind: unwell > 0 ? "noAlarm" : "well" }] };
  }

  #hold(name: string, count: number, now: number): number {
    const held = this.#held.get(name);
    if (held && count < held.count && now - held.at < HOLD_MS) return held.count;
    this.#held.set(name, { count, at: now });
    return count;
  }
}

/** Devices without a room are counted as a room each. */
function roomOf({ device }: RankedDevice): string {
  const { site, room } = device.record ?? {};
  return room ? JSON.stringify([site ?? "", room]) : device.id;
}
