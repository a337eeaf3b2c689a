/** An assessment: a measured value, rated by a named standard. */

import type { MessageKey } from "./messages.en";

type KeyOf<Group extends string> = Extract<MessageKey, `${Group}.${string}`>;

export type IndexKey = KeyOf<"index">;
export type StandardKey = KeyOf<"standard">;
export type AveragingKey = KeyOf<"averaging">;
export type UnitKey = KeyOf<"unit">;
export type LevelKey = Exclude<KeyOf<"level">, "level.pending">;
export type AdviceKey = KeyOf<"advice">;
export type NoteKey = KeyOf<"note">;

/** The fields that at least one standard covers. */
export type Field =
  | "pm25" | "pm10" | "coPpm" | "co2" | "eco2" | "tvoc" | "ch4Ppm" | "lpgPpm" | "flameDetected" | "aqi";

/** A common scale for all standards, which have two to six classes each: 0 is no action needed, 5 is danger to everyone. */
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

/** What is assessed and by which standard, before there is a value. All texts are keys of the message catalogues. */
export interface Indicator {
  /** Unique among the assessments of a device. */
  readonly key: IndexKey;
  readonly standard: StandardKey;
  readonly field: Field;
  /** The unit of `value`; null for an index, a class or a boolean. */
  readonly unit: UnitKey | null;
  readonly averaging: AveragingKey;
  /** Not a measurement in the standard's sense: the sensor or a conversion is too coarse for that. */
  readonly indicative: boolean;
  /** A caveat shown with the assessment. */
  readonly note: NoteKey | null;
}

export interface CompleteAssessment extends Indicator {
  readonly complete: true;
  readonly value: number | boolean;
  /** The input of `value`, in the field's unit: the averaged and truncated concentration, or the ppm. */
  readonly measured: number | boolean;
  readonly level: Level;
  readonly levelKey: LevelKey;
  readonly advice: AdviceKey;
  /** Sort key, 0 to 7: `level`, except 7 for a flame and 6 for gas from 20 % of its explosive limit and CO from 300 ppm. */
  readonly order: number;
}

/** An index whose rule needs more hours than are available. */
export interface PendingAssessment extends Indicator {
  readonly complete: false;
  readonly value: null;
  readonly level: null;
  readonly levelKey: "level.pending";
  readonly advice: "advice.wait";
  readonly order: -1;
  /** How many more hours must be measured without a gap; `{hours}` in the text of `levelKey`. */
  readonly hoursNeeded: number;
}

export type Assessment = CompleteAssessment | PendingAssessment;

export function pendingAssessment(indicator: Indicator, hoursNeeded: number): PendingAssessment {
  const none = { value: null, level: null, levelKey: "level.pending", advice: "advice.wait", order: -1 } as const;
  return { ...indicator, complete: false, ...none, hoursNeeded };
}
