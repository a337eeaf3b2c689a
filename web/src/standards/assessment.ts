/** What a judgement is: a measured value, seen through a named standard. */

import type { MessageKey } from "./messages.en";

type KeyOf<Group extends string> = Extract<MessageKey, `${Group}.${string}`>;

export type IndexKey = KeyOf<"index">;
export type StandardKey = KeyOf<"standard">;
export type AveragingKey = KeyOf<"averaging">;
export type UnitKey = KeyOf<"unit">;
export type LevelKey = Exclude<KeyOf<"level">, "level.pending">;
export type AdviceKey = KeyOf<"advice">;
export type NoteKey = KeyOf<"note">;

/** The fields of a reading that some standard has a word for. */
export type Field =
  | "pm25" | "pm10" | "coPpm" | "co2" | "eco2" | "tvoc" | "ch4Ppm" | "lpgPpm" | "flameDetected" | "aqi";

/** One scale for all standards, which have two to six classes of their own: 0 nothing to do, 5 danger to everyone. */
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

/** What is known of a judgement before its value is. All texts are keys of the catalogues. */
export interface Subject {
  /** Which index this is; unique among the judgements of a device. */
  readonly key: IndexKey;
  /** By whose rule. */
  readonly standard: StandardKey;
  readonly field: Field;
  /** The unit of `value`; null where it is an index, a class or a yes. */
  readonly unit: UnitKey | null;
  /** Over which time the value was taken. */
  readonly averaging: AveragingKey;
  /** A pointer, not a measurement in the standard's sense: the sensor or a conversion is too coarse for that. */
  readonly indicative: boolean;
  /** What one should know of it. */
  readonly note: NoteKey | null;
}

export interface Judged extends Subject {
  readonly complete: true;
  readonly value: number | boolean;
  /** What `value` was made from, in the field's own unit: the averaged and truncated concentration, the ppm. */
  readonly measured: number | boolean;
  readonly level: Level;
  readonly levelKey: LevelKey;
  readonly advice: AdviceKey;
  /** For sorting, 0 to 7: `level`, but 7 for a flame and 6 for gas from 20 % of its explosive limit on, and CO from 300 ppm. */
  readonly order: number;
}

/** An index whose rule asks for more hours than there are. */
export interface Pending extends Subject {
  readonly complete: false;
  readonly value: null;
  readonly level: null;
  readonly levelKey: "level.pending";
  readonly advice: "advice.wait";
  readonly order: -1;
  /** How many more hours must be measured, if none of them is missed; `{hours}` in the text of `levelKey`. */
  readonly hoursNeeded: number;
}

export type Judgement = Judged | Pending;

export function pending(subject: Subject, hoursNeeded: number): Pending {
  const none = { value: null, level: null, levelKey: "level.pending", advice: "advice.wait", order: -1 } as const;
  return { ...subject, complete: false, ...none, hoursNeeded };
}
