import { DAY } from "./time-range";

const MINUTE_MS = 60_000;

/** The start of the bucket that holds a moment. Buckets of whole days begin at midnight of this browser's time zone, as the axis does. */
export function bucketStart(at: number, step: number): number {
  if (step % DAY !== 0) return Math.floor(at / step) * step;
  const local = Math.floor((at + offsetAt(at)) / step) * step;
  return local - offsetAt(local - offsetAt(at)); // the clocks may have changed since the start
}

/** Null for buckets that are the same in all time zones. */
export function timeZoneOf(step: number): string | null {
  return step % DAY === 0 ? new Intl.DateTimeFormat().resolvedOptions().timeZone || null : null;
}

function offsetAt(at: number): number {
  return -new Date(at).getTimezoneOffset() * MINUTE_MS;
}
