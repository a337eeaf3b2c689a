import { viewParam } from "../view-param";
import type { LengthName, TimeRange } from "./time-range";
import { HOUR, LENGTHS, MAX_LENGTH, MIN_LENGTH, live } from "./time-range";

const NAMES = Object.keys(LENGTHS) as LengthName[];

/**
 * `24h`, `5400s` for a length that ends now, `2026-11-30T08:00:00Z..2026-11-30T12:00:00Z` for a fixed range. Only a length is
 * remembered: a fixed range soon shows the past.
 */
export const RANGE = viewParam<TimeRange>("range", live(HOUR), { parse, format }, { remember: (range) => range.live });

function format(range: TimeRange): string {
  if (!range.live) return `${momentText(range.span.from)}..${momentText(range.span.to)}`;
  return NAMES.find((name) => LENGTHS[name] === range.length) ?? `${Math.round(range.length / 1000)}s`;
}

function parse(text: string): TimeRange | null {
  const named = NAMES.find((name) => name === text);
  if (named) return live(LENGTHS[named]);
  const seconds = /^(\d{1,9})s$/.exec(text)?.[1];
  if (seconds !== undefined) return isAllowed(Number(seconds) * 1000) ? live(Number(seconds) * 1000) : null;
  const [from, to, ...more] = text.split("..").map(momentOf);
  if (from == null || to == null || more.length > 0 || !isAllowed(to - from)) return null;
  return { live: false, span: { from, to } };
}

function isAllowed(length: number): boolean {
  return length >= MIN_LENGTH && length <= MAX_LENGTH;
}

/** Whole seconds of UTC. */
function momentText(at: number): string {
  return `${new Date(Math.round(at / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

function momentOf(text: string): number | null {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}
