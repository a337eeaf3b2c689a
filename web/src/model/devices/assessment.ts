/**
 * An assessment: a measured value, rated by the bridge by a named standard. The page judges nothing itself.
 *
 * All texts are keys of `messages.*.ts`. A newer bridge may send keys that are not in them: `assessment-text.ts` in `i18n/`
 * renders these by a neutral text.
 */

import { field, list, number, text, time } from "../json";

/** The indices for particles, ozone, nitrogen and sulphur dioxide. */
export const AIR_SCALES = ["us-epa", "european"] as const;
export type AirScale = (typeof AIR_SCALES)[number];

export function asAirScale(text: string | null): AirScale | null {
  return AIR_SCALES.find((one) => one === text) ?? null;
}

/** Common to all standards, which have two to six classes each: 0 is no action needed, 5 is danger to everyone. */
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

/** What is assessed and by which standard. */
export interface Indicator {
  /** Unique among the assessments of a device. */
  readonly key: string;
  readonly standard: string;
  readonly field: string;
  /** The unit of `value`; null for an index, a class or a boolean. */
  readonly unit: string | null;
  readonly averaging: string;
  /** Not a measurement in the standard's sense: the sensor or a conversion is too coarse for that. */
  readonly indicative: boolean;
  readonly caveat: string | null;
}

export interface CompleteAssessment extends Indicator {
  readonly complete: true;
  readonly value: number | boolean;
  /** The input of `value`, in the field's unit: the averaged and truncated concentration, or the latest value. */
  readonly measured: number | boolean;
  readonly level: Level;
  readonly levelKey: string;
  readonly advice: string;
  /** Sort key, 0 to 7: the level, except 7 for a flame and 6 for what may kill within minutes. */
  readonly order: number;
  /** Of a dose: the time to the alarm at the present concentration; null when the bridge does not say. */
  readonly minutesLeft: number | null;
}

/** An index whose rule needs `hoursNeeded` more hours without a gap. */
export interface PendingAssessment extends Indicator {
  readonly complete: false;
  readonly hoursNeeded: number;
}

export type Assessment = CompleteAssessment | PendingAssessment;

/** The assessments of a device at one moment, the worst first, incomplete ones last. */
export interface AssessmentReport {
  readonly deviceId: string;
  /** The index of particles and gases; null where the bridge does not say. */
  readonly scale: AirScale | null;
  /** Milliseconds since the epoch, by the bridge's clock. */
  readonly at: number;
  readonly assessments: readonly Assessment[];
}

const MAX_LEVEL = 5;
const MAX_ORDER = 7;
const MAX_ASSESSMENTS = 64;

/** Parses the answer of `GET /api/v1/assessments`. */
export function parseReports(body: unknown): AssessmentReport[] {
  return list(field(body, "assessments")).flatMap((report) => parseReport(report) ?? []);
}

/** Parses one device's assessments, as in the answer and in the event `assessment`. */
export function parseReport(body: unknown): AssessmentReport | null {
  const [deviceId, at] = [text(field(body, "deviceId")), time(field(body, "at"))];
  if (!deviceId || at === null) return null;
  const assessments = list(field(body, "assessments")).slice(0, MAX_ASSESSMENTS).flatMap((one) => parseAssessment(one) ?? []);
  return { deviceId, scale: asAirScale(text(field(body, "scale"))), at, assessments };
}

function parseAssessment(body: unknown): Assessment | null {
  const of = (name: string): string => text(field(body, name));
  const indicator: Indicator = {
    key: of("key"),
    standard: of("standard"),
    field: of("field"),
    unit: of("unit") || null,
    averaging: of("averaging"),
    indicative: field(body, "indicative") === true,
    caveat: of("caveat") || null,
  };
  if (!indicator.key) return null;
  const [value, level] = [figure(field(body, "value")), number(field(body, "level"))];
  if (value === null || level === null) return { ...indicator, complete: false, hoursNeeded: number(field(body, "hoursNeeded")) ?? 0 };
  return {
    ...indicator,
    complete: true,
    value,
    measured: figure(field(body, "measured")) ?? value,
    level: clamped(level, MAX_LEVEL) as Level,
    levelKey: of("levelKey"),
    advice: of("advice"),
    order: clamped(number(field(body, "order")) ?? level, MAX_ORDER),
    minutesLeft: number(field(body, "minutesLeft")),
  };
}

function figure(value: unknown): number | boolean | null {
  return typeof value === "boolean" ? value : number(value);
}

function clamped(value: number, high: number): number {
  return Math.min(Math.max(Math.round(value), 0), high);
}
