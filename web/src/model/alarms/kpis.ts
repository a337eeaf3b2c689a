/** Figures of how alarms are handled, by the bridge, with the targets of ISA-18.2 and EEMUA 191. */

import { field, list, number, text, time } from "../json";
import type { PriorityCounts } from "./alarm";

export interface AlarmKpis {
  readonly from: number;
  readonly to: number;
  readonly raised: number;
  readonly standing: PriorityCounts;
  readonly perTenMinutes: number;
  readonly mostInTenMinutes: number;
  /** 0 to 1. */
  readonly floodShare: number;
  readonly chattering: readonly { readonly deviceId: string | null; readonly rule: string }[];
  /** The ids of the alarms that stand for a day. */
  readonly stale: readonly string[];
  readonly acknowledgeMedianSeconds: number | null;
  readonly acknowledgeP90Seconds: number | null;
}

export function parseKpis(body: unknown): AlarmKpis | null {
  const [from, to] = [time(field(body, "from")), time(field(body, "to"))];
  if (from === null || to === null) return null;
  const of = (name: string): number => number(field(body, name)) ?? 0;
  const standing = (name: string): number => number(field(field(body, "standing"), name)) ?? 0;
  return {
    from,
    to,
    raised: of("raised"),
    standing: { critical: standing("critical"), high: standing("high"), medium: standing("medium"), low: standing("low") },
    perTenMinutes: of("perTenMinutes"),
    mostInTenMinutes: of("mostInTenMinutes"),
    floodShare: of("floodShare"),
    chattering: list(field(body, "chattering")).flatMap((one) => {
      const rule = text(field(one, "rule"));
      return rule ? [{ deviceId: text(field(one, "deviceId")) || null, rule }] : [];
    }),
    stale: list(field(body, "stale")).flatMap((one) => text(one) || []),
    acknowledgeMedianSeconds: number(field(body, "acknowledgeMedianSeconds")),
    acknowledgeP90Seconds: number(field(body, "acknowledgeP90Seconds")),
  };
}

export type KpiName = "raised" | "perTenMinutes" | "mostInTenMinutes" | "floodShare" | "stale" | "chattering" | "acknowledgeMedian" | "acknowledgeP90";

export interface KpiFigure {
  readonly name: KpiName;
  /** Null when there was nothing to measure. */
  readonly value: number | null;
  readonly unit: "count" | "rate" | "share" | "seconds";
  /** Whether it is within its target; null where there is none. */
  readonly isMet: boolean | null;
}

/** Of one operator: one alarm in 10 minutes can be handled, more than 10 are a flood. */
const MAX_PER_TEN_MINUTES = 1;
const FLOOD_ABOVE = 10;
const MAX_FLOOD_SHARE = 0.01;
const MAX_STALE = 5;

export function kpiFigures(kpis: AlarmKpis): KpiFigure[] {
  const { raised, perTenMinutes, mostInTenMinutes, floodShare, stale, chattering, acknowledgeMedianSeconds, acknowledgeP90Seconds } = kpis;
  return [
    { name: "raised", value: raised, unit: "count", isMet: null },
    { name: "perTenMinutes", value: perTenMinutes, unit: "rate", isMet: perTenMinutes <= MAX_PER_TEN_MINUTES },
    { name: "mostInTenMinutes", value: mostInTenMinutes, unit: "count", isMet: mostInTenMinutes <= FLOOD_ABOVE },
    { name: "floodShare", value: floodShare, unit: "share", isMet: floodShare < MAX_FLOOD_SHARE },
    { name: "stale", value: stale.length, unit: "count", isMet: stale.length < MAX_STALE },
    { name: "chattering", value: chattering.length, unit: "count", isMet: chattering.length === 0 },
    { name: "acknowledgeMedian", value: acknowledgeMedianSeconds, unit: "seconds", isMet: null },
    { name: "acknowledgeP90", value: acknowledgeP90Seconds, unit: "seconds", isMet: null },
  ];
}
