/** Averages over the last hours, by the US EPA's rules for the AQI.
 *
 * A mean needs 75 % of its hours: 18 of 24 for particles (40 CFR 50 App. N), 6 of 8 for carbon monoxide (40 CFR 50.8). It is
 * divided by the number of hours present. An hour needs 75 % of its readings.
 *
 * NowCast: 12 hours, including at least two of the newest three (EPA-454/B-24-002, May 2024, "How the NowCast is calculated").
 * Hourly means are not truncated; only the result is.
 *
 * The EPA's daily AQI covers a calendar day; this one covers the last 24 complete hours.
 */

/** One hour as returned by `GET /api/v1/readings?every=1h`: its start (a whole hour in UTC), mean and number of readings. */
export interface HourlyMean {
  readonly startMs: number;
  readonly mean: number;
  readonly count: number;
}

/** Hourly means, newest first; null for an hour without enough readings. Excludes the current hour. */
export type HourlyWindow = readonly (number | null)[];

export type Average = { readonly value: number } | { readonly hoursNeeded: number };

export const DAY_HOURS = 24;
export const CO_HOURS = 8;
const HOUR_MS = 3_600_000;
const COMPLETENESS = 0.75;
const NOWCAST_HOURS = 12;
const NOWCAST_NEWEST = 3;
const NOWCAST_ENOUGH = 2;
const NOWCAST_LEAST_WEIGHT = 0.5;

export function lastDay(hours: readonly HourlyMean[], nowMs: number): HourlyWindow {
  const current = Math.floor(nowMs / HOUR_MS);
  const found: (HourlyMean | undefined)[] = new Array<undefined>(DAY_HOURS).fill(undefined);
  for (const hour of hours) {
    const age = current - Math.floor(hour.startMs / HOUR_MS);
    if (age >= 1 && age <= DAY_HOURS && hour.count > 0 && Number.isFinite(hour.mean)) found[age - 1] = hour;
  }
  const enough = COMPLETENESS * usualCount(found);
  return found.map((hour) => (hour && hour.count >= enough ? hour.mean : null));
}

/** The device's usual readings per hour: the median, the upper of two, because the first hour is usually incomplete. */
function usualCount(hours: readonly (HourlyMean | undefined)[]): number {
  const counts = hours.flatMap((hour) => hour?.count ?? []).sort((one, other) => one - other);
  return counts[Math.floor(counts.length / 2)] ?? 0;
}

/** The mean of the newest `span` hours. */
export function mean(window: HourlyWindow, span: number): Average {
  const hoursNeeded = missing(window, span, Math.ceil(COMPLETENESS * span));
  if (hoursNeeded > 0) return { hoursNeeded };
  const hours = present(window, span);
  return { value: hours.reduce((sum, hour) => sum + hour, 0) / hours.length };
}

/** The weight of an hour is `factor` to the power of its age; the more the hours vary, the less the older ones count. */
export function nowCast(window: HourlyWindow): Average {
  const hoursNeeded = missing(window, NOWCAST_NEWEST, NOWCAST_ENOUGH);
  if (hoursNeeded > 0) return { hoursNeeded };
  const hours = present(window, NOWCAST_HOURS);
  const highest = Math.max(...hours);
  if (highest <= 0) return { value: 0 };
  const factor = Math.max(NOWCAST_LEAST_WEIGHT, Math.min(...hours) / highest);
  let sum = 0;
  let weights = 0;
  for (const [age, hour] of window.slice(0, NOWCAST_HOURS).entries()) {
    if (hour === null) continue;
    sum += factor ** age * hour;
    weights += factor ** age;
  }
  return { value: sum / weights };
}

/** How many more complete hours are needed until `enough` of the newest `span` are present. */
function missing(window: HourlyWindow, span: number, enough: number): number {
  let coming = 0;
  while (coming + present(window, span - coming).length < enough) coming++;
  return coming;
}

function present(window: HourlyWindow, span: number): number[] {
  return window.slice(0, span).filter((hour) => hour !== null);
}
