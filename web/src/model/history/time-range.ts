/** The stretch of time that the charts show: following the present, or standing still where someone looks. */

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Live: `length` milliseconds up to now. Fixed: as it is. */
export type Range = { readonly live: true; readonly length: number } | { readonly live: false; readonly span: Span };

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const YEAR = 365 * DAY;

export const LENGTHS = { "15min": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "1y": YEAR } as const;
export type LengthName = keyof typeof LENGTHS;

export const SHORTEST = 10_000;
export const LONGEST = 5 * YEAR;
/** What a chart has room for. */
export const MOST_POINTS = 500;

export function spanOf(range: Range, now: number): Span {
  return range.live ? { from: now - range.length, to: now } : range.span;
}

export function live(length: number): Range {
  return { live: true, length: clamp(length) };
}

/** To exactly this, no shorter than can be seen and not into the future; what reaches the present follows it. */
export function show(span: Span, now: number): Range {
  const length = clamp(span.to - span.from);
  if (span.to >= now - length / 200) return live(length);
  const middle = (span.from + span.to) / 2;
  const from = Math.min(middle - length / 2, now - length);
  return { live: false, span: { from, to: from + length } };
}

/** By a factor, around a moment that keeps its place: 0.5 is closer. */
export function zoom(range: Range, factor: number, now: number, around?: number): Range {
  const { from, to } = spanOf(range, now);
  const length = clamp((to - from) * factor);
  if (range.live && around === undefined) return live(length);
  const at = around ?? (from + to) / 2;
  const left = (at - from) / (to - from);
  return show({ from: at - length * left, to: at + length * (1 - left) }, now);
}

/** By a part of what is seen: -0.5 is half a screen back. */
export function pan(range: Range, part: number, now: number): Range {
  const { from, to } = spanOf(range, now);
  const by = (to - from) * part;
  return show({ from: from + by, to: to + by }, now);
}

/** Widths of buckets that fall on round times. */
const STEPS_SECONDS = [
  1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/** The narrowest round step that needs no more than so many points. */
export function stepFor(length: number, points = MOST_POINTS): number {
  const least = length / 1000 / points;
  return 1000 * (STEPS_SECONDS.find((step) => step >= least) ?? STEPS_SECONDS.at(-1) ?? 604_800);
}

/** A step as the bridge writes it: `10s`. */
export function every(step: number): string {
  return `${Math.round(step / 1000)}s`;
}

function clamp(length: number): number {
  return Math.min(Math.max(length, SHORTEST), LONGEST);
}
