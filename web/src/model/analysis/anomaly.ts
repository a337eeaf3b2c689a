/** Faults of sensors, as the bridge finds them. They are no alarms: no badge, title or sound tells of them. */

import { field, list, number, text, time } from "../json";

const STATES = ["standing", "ended", "wrong"] as const;
/** `wrong`: a person has marked it so. */
export type AnomalyState = (typeof STATES)[number];

const KINDS = ["stuck", "saturated", "warm-up", "spike", "step", "drift", "cross", "unusual"] as const;
export type AnomalyKind = (typeof KINDS)[number];

export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** Times are milliseconds since the epoch; values are in `unit`. */
export interface Anomaly {
  readonly id: string;
  readonly deviceId: string;
  /** Null for a kind that this page does not know. */
  readonly kind: AnomalyKind | null;
  readonly field: string;
  readonly fields: readonly string[];
  readonly state: AnomalyState;
  readonly since: number | null;
  readonly endedAt: number | null;
  /** How it ended: `ended`, `accepted` or `wrong`. */
  readonly outcome: string | null;
  /** In English. */
  readonly message: string;
  /** Of the sentence, see `standards/anomalies.en.ts`. */
  readonly key: string;
  readonly parameters: ReadonlyMap<string, number>;
  readonly unit: string;
  readonly neighbour: string | null;
  readonly samples: readonly Sample[];
  readonly neighbourSamples: readonly Sample[];
  readonly markedBy: string | null;
  readonly comment: string | null;
}

export interface AnomalyPage {
  readonly items: readonly Anomaly[];
  /** Where the next page starts; null after the last. */
  readonly next: string | null;
}

const MESSAGE_LENGTH = 600;
const COMMENT_LENGTH = 1000;
const MAX_FIELDS = 64;
const MAX_SAMPLES = 200;

export function parseAnomalyPage(body: unknown): AnomalyPage {
  return { items: list(field(body, "anomalies")).flatMap((one) => parseAnomaly(one) ?? []), next: text(field(body, "next")) || null };
}

/** Null without an id or a device, or with a state that this page does not know. */
export function parseAnomaly(body: unknown): Anomaly | null {
  const optional = (name: string): string | null => text(field(body, name)) || null;
  const [id, deviceId] = [text(field(body, "id")), text(field(body, "deviceId"))];
  const state = STATES.find((one) => one === field(body, "state"));
  if (!id || !deviceId || state === undefined) return null;
  const fields = list(field(body, "fields")).slice(0, MAX_FIELDS).flatMap((one) => text(one) || []);
  return {
    id,
    deviceId,
    kind: KINDS.find((one) => one === field(body, "kind")) ?? null,
    field: text(field(body, "field")) || (fields[0] ?? ""),
    fields,
    state,
    since: time(field(body, "since")) ?? time(field(body, "detectedAt")),
    endedAt: time(field(body, "endedAt")),
    outcome: optional("outcome"),
    message: text(field(body, "message"), MESSAGE_LENGTH),
    key: text(field(body, "key")),
    parameters: parseParameters(field(body, "parameters")),
    unit: text(field(body, "unit")),
    neighbour: optional("neighbour"),
    samples: parseSamples(field(body, "samples")),
    neighbourSamples: parseSamples(field(body, "neighbourSamples")),
    markedBy: optional("markedBy"),
    comment: text(field(body, "comment"), COMMENT_LENGTH) || null,
  };
}

/** The numbers of a sentence that the bridge sent. */
export function parseParameters(body: unknown): ReadonlyMap<string, number> {
  if (typeof body !== "object" || body === null) return new Map();
  return new Map(Object.entries(body).slice(0, MAX_FIELDS).flatMap(([name, value]) => {
    const one = number(value);
    return one === null ? [] : [[name, one] as const];
  }));
}

/** What ended last is first. */
export function byNewestEnd(one: Anomaly, other: Anomaly): number {
  return (other.endedAt ?? 0) - (one.endedAt ?? 0);
}

/** A moment of the evidence: the values of the sensor and of its neighbour at that time. */
export interface EvidenceRow {
  readonly at: number;
  readonly value: number | null;
  readonly neighbour: number | null;
}

/** By time, the newest last; at most `limit` of the newest. */
export function evidenceRows({ samples, neighbourSamples }: Anomaly, limit: number): EvidenceRow[] {
  const [own, theirs] = [byTime(samples), byTime(neighbourSamples)];
  const times = [...new Set([...own.keys(), ...theirs.keys()])].sort((one, other) => one - other).slice(-limit);
  return times.map((at) => ({ at, value: own.get(at) ?? null, neighbour: theirs.get(at) ?? null }));
}

function byTime(samples: readonly Sample[]): ReadonlyMap<number, number> {
  return new Map(samples.map(({ at, value }) => [at, value]));
}

function parseSamples(body: unknown): Sample[] {
  return list(body).slice(-MAX_SAMPLES).flatMap((one) => {
    const [at, value] = [time(field(one, "at")), number(field(one, "value"))];
    return at === null || value === null ? [] : [{ at, value }];
  });
}
