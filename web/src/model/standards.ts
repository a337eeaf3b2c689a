/** The classes of the standards that the bridge judges by, as bands of values. */

import { field, list, number, text } from "./json";

export interface StandardBand {
  /** Where it begins, in the stored unit of the field. */
  readonly from: number;
  /** 0 (no action needed) to 5 (danger to everyone). */
  readonly level: number;
  readonly levelKey: string;
}

export interface Standard {
  /** That of an assessment. */
  readonly key: string;
  readonly field: string;
  readonly standard: string;
  readonly averaging: string;
  /** By rising values. */
  readonly bands: readonly StandardBand[];
}

const MAX_STANDARDS = 100;
const MAX_BANDS = 20;

export function parseStandards(body: unknown): Standard[] {
  return list(field(body, "standards")).slice(0, MAX_STANDARDS).flatMap((one) => {
    const [key, name] = [text(field(one, "key")), text(field(one, "field"))];
    const bands = list(field(one, "bands")).slice(0, MAX_BANDS).flatMap((band) => parseBand(band) ?? []).sort((a, b) => a.from - b.from);
    if (!key || !name || bands.length < 2) return [];
    return [{ key, field: name, standard: text(field(one, "standard")), averaging: text(field(one, "averaging")), bands }];
  });
}

function parseBand(body: unknown): StandardBand | null {
  const [from, level, levelKey] = [number(field(body, "from")), number(field(body, "level")), text(field(body, "levelKey"))];
  return from === null || level === null || !levelKey ? null : { from, level, levelKey };
}

/** The standard drawn for a field: the first by which a device is judged, else the first. An index has none without a judgement. */
export function standardOf(standards: readonly Standard[], name: string, assessed: ReadonlySet<string>): Standard | null {
  const candidates = standards.filter((one) => one.field === name);
  const judged = candidates.find(({ key }) => assessed.has(key));
  return judged ?? (name === "aqi" ? null : candidates[0] ?? null);
}

/** The band that holds a value; below the first one there is none. */
export function bandOf({ bands }: Standard, value: number): StandardBand | null {
  return bands.findLast(({ from }) => value >= from) ?? null;
}

/** The bands that a range of values touches. */
export function bandsIn({ bands }: Standard, low: number, high: number): readonly StandardBand[] {
  return bands.filter(({ from }, n) => from <= high && (bands[n + 1]?.from ?? Number.POSITIVE_INFINITY) > low);
}
