/** Advice of the bridge: what to do, because of a forecast or an alarm. */

import { HOUR } from "../history/time-range";
import { field, list, text, time } from "../json";
import { parseParameters } from "./anomaly";

export interface Advice {
  readonly id: string;
  readonly deviceId: string;
  readonly at: number;
  readonly field: string;
  readonly unit: string;
  /** In English. */
  readonly message: string;
  /** Of the sentence, see `standards/advice.en.ts`. */
  readonly key: string;
  readonly parameters: ReadonlyMap<string, number>;
  /** Whose limit it is: a key of the message catalogues. */
  readonly standard: string | null;
}

export interface AdvicePage {
  /** Newest first. */
  readonly advice: readonly Advice[];
  readonly next: string | null;
}

/** The bridge gives a device at most one advice in this time. */
export const FRESH_MS = 2 * HOUR;
const MESSAGE_LENGTH = 600;
/** More are forgotten, the oldest first. */
const MAX_DISMISSED = 100;

export function parseAdvicePage(body: unknown): AdvicePage {
  return { advice: list(field(body, "actions")).flatMap((one) => parseAdvice(one) ?? []), next: text(field(body, "next")) || null };
}

/** Null without an id, a device, a time or words. */
export function parseAdvice(body: unknown): Advice | null {
  const [id, deviceId, message] = [text(field(body, "id")), text(field(body, "deviceId")), text(field(body, "message"), MESSAGE_LENGTH)];
  const at = time(field(body, "at"));
  if (!id || !deviceId || !message || at === null) return null;
  return {
    id,
    deviceId,
    at,
    field: text(field(body, "field")),
    unit: text(field(body, "unit")),
    message,
    key: text(field(body, "key")),
    parameters: parseParameters(field(body, "parameters")),
    standard: text(field(body, "standard")) || null,
  };
}

/** The newest advice of each device. */
export type AdviceByDevice = ReadonlyMap<string, Advice>;

/** Adds advice, where it is newer than what is known of its device. */
export function withAdvice(known: AdviceByDevice, more: readonly Advice[]): AdviceByDevice {
  const merged = new Map(known);
  for (const one of more) if (one.at >= (merged.get(one.deviceId)?.at ?? Number.NEGATIVE_INFINITY)) merged.set(one.deviceId, one);
  return merged;
}

export function isFresh({ at }: Advice, now: number): boolean {
  return now - at < FRESH_MS;
}

/** The ids of dismissed advice, as one text for the browser to keep. */
export class Dismissed {
  readonly ids: readonly string[];

  constructor(kept: string | null) {
    this.ids = (kept ?? "").split(" ").filter(Boolean);
  }

  with(id: string): Dismissed {
    return new Dismissed([...this.ids, id].slice(-MAX_DISMISSED).join(" "));
  }

  get text(): string {
    return this.ids.join(" ");
  }
}
