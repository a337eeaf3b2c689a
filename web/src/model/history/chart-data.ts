/** What a chart draws: the measured values, and their forecast on the same axis of time. */

import type { FanColumns } from "../analysis/prediction";
import type { Columns } from "./bucket-history";

/** Null breaks a line; undefined does not: at that time another series has a point. */
type Column = (number | null | undefined)[];

/** Times in seconds; then mean, maximum and minimum as measured; then mean, high and low of the forecast. */
export type ChartData = [times: number[], mean: Column, max: Column, min: Column, ahead: Column, high: Column, low: Column];

export function chartData({ times, mean, max, min }: Columns, fan: FanColumns): ChartData {
  if (fan.times.length === 0) return [times, mean, max, min, [], [], []];
  const data: ChartData = [[], [], [], [], [], [], []];
  let [n, k] = [0, 0];
  while (n < times.length || k < fan.times.length) {
    const [measured, forecast] = [times[n] ?? Number.POSITIVE_INFINITY, fan.times[k] ?? Number.POSITIVE_INFINITY];
    const own = measured <= forecast ? n++ : -1;
    const ahead = forecast <= measured ? k++ : -1;
    const row = [Math.min(measured, forecast), mean[own], max[own], min[own], fan.mean[ahead], fan.high[ahead], fan.low[ahead]];
    row.forEach((value, column) => data[column]?.push(value as number));
  }
  return data;
}

/** The points of a line that have no neighbours, so that the line does not show them. */
export function isolatedPoints(values: ArrayLike<number | null | undefined>): number[] {
  const known = Array.from({ length: values.length }, (_, n) => n).filter((n) => values[n] !== undefined);
  return known.filter((n, place) => values[n] !== null && values[known[place - 1] ?? -1] == null && values[known[place + 1] ?? -1] == null);
}
