/** The time range that the charts show: live, or fixed. */

export interface TimeSpan {
  readonly from: number;
  readonly to: number;
}

/** Live: the last `length` milliseconds. Fixed: `span`. */
export type TimeRange = { readonly live: true; readonly length: number } | { readonly live: false; readonly span: TimeSpan };

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const YEAR = 365 * DAY;

export const LENGTHS = { "15min": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "1y": YEAR } as const;
export type LengthName = keyof typeof LENGTHS;

export const MIN_LENGTH = 10_000;
export const MAX_LENGTH = 5 * YEAR;
/** Points per chart. */
export const MAX_POINTS = 500;

export function spanOf(range: TimeRange, now: number): TimeSpan {
  return range.live ? { from: now - range.length, to: now } : range.span;
}

export function live(length: number): TimeRange {
  return { live: true, length: clamp(length) };
}

/** Clamps the span to the allowed lengths and to the past; a span that reaches the present becomes live. */
export function fixed(span: TimeSpan, now: number): TimeRange {
  const length = clamp(span.to - span.from);
  if (span.to >= now - length / 200) return live(length);
  const middle = (span.from + span.to) / 2;
  const from = Math.min(middle - length / 2, now - length);
  return { live: false, span: { from, to: from + length } };
}

/** Scales the range around a fixed moment; 0.5 zooms in. */
export function zoom(range: TimeRange, factor: number, now: number, around?: number): TimeRange {
  const { from, to } = spanOf(range, now);
  const length = clamp((to - from) * factor);
  if (range.live && around === undefined) return live(length);
  const at = around ?? (from + to) / 2;
  const left = (at - from) / (to - from);
  return fixed({ from: at - length * left, to: at + length * (1 - left) }, now);
}

/** Moves the range by a fraction of its length; -0.5 is half a screen back. */
export function pan(range: TimeRange, fraction: number, now: number): TimeRange {
  const { from, to } = spanOf(range, now);
  const by = (to - from) * fraction;
  return fixed({ from: from + by, to: to + by }, now);
}

/** Bucket widths that fall on round times. */
const STEPS_SECONDS = [
  1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/** The smallest round step, in milliseconds, that needs at most `points` points. */
export function stepFor(length: number, points = MAX_POINTS): number {
  const least = length / 1000 / points;
  return 1000 * (STEPS_SECONDS.find((step) => step >= least) ?? STEPS_SECONDS.at(-1) ?? 604_800);
}

/** The step in the bridge's notation, such as `10s`. */
export function stepText(step: number): string {
  return `${Math.round(step / 1000)}s`;
}

function clamp(length: number): number {
  return Math.min(Math.max(length, MIN_LENGTH), MAX_LENGTH);
}
