/** What a comparison shows: the series of devices and of rooms, and their values on one axis of time. */

import type { Device } from "../devices/device";
import type { Bucket, Summary } from "../wire";
import type { BucketHistory, Columns } from "./bucket-history";
import { BucketHistory as Buckets } from "./bucket-history";

/** As many as colours and dash patterns can be told apart. */
export const MAX_SERIES = 8;
/** Devices of all series together: each costs the bridge a query. */
export const MAX_SERIES_DEVICES = 60;
/** Before the name of a room in the address; a device with such an id comes first. */
const ROOM = "@";

export interface Series {
  /** As in the address: the id of a device, or `@` and a room. */
  readonly key: string;
  readonly label: string;
  readonly room: string | null;
  readonly devices: readonly Device[];
}

export function roomKey(room: string): string {
  return `${ROOM}${room}`;
}

/** The series of these keys, without those that are not known. The mean of a room is that of its devices with the measurement. */
export function seriesOf(keys: readonly string[], devices: ReadonlyMap<string, Device>, name: string): Series[] {
  let left = MAX_SERIES_DEVICES;
  return keys.slice(0, MAX_SERIES).flatMap((key): Series[] => {
    const device = devices.get(key);
    const room = device === undefined && key.startsWith(ROOM) ? key.slice(ROOM.length) : null;
    const members = device ? [device] : [...devices.values()].filter((one) => room !== null && one.record?.room === room && one.entries.has(name));
    const taken = members.slice(0, left);
    left -= taken.length;
    return taken.length === 0 ? [] : [{ key, label: device?.name ?? room ?? key, room, devices: taken }];
  });
}

/** The mean of the devices at each time at which at least one has a value; the band is from the lowest to the highest of them. */
export function meanColumns(histories: readonly { readonly history: BucketHistory; readonly intervalMs: number | null }[], name: string): Columns {
  const [first] = histories;
  if (first === undefined) return { times: [], mean: [], min: [], max: [] };
  if (histories.length === 1) return first.history.columns(name, first.intervalMs);
  const sums = new Map<number, { sum: number; count: number; min: number; max: number }>();
  for (const { history, intervalMs } of histories) {
    const { times, mean, min, max } = history.columns(name, intervalMs);
    times.forEach((time, n) => {
      const [value, low, high] = [mean[n], min[n], max[n]];
      if (value == null) return;
      const known = sums.get(time) ?? { sum: 0, count: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
      known.sum += value;
      known.count += 1;
      known.min = Math.min(known.min, low ?? value);
      known.max = Math.max(known.max, high ?? value);
      sums.set(time, known);
    });
  }
  const buckets = [...sums].map(([time, { sum, count, min, max }]): Bucket => {
    const summary: Summary = { min, mean: sum / count, max, count };
    return { deviceId: "", start: time * 1000, fields: new Map([[name, summary]]) };
  });
  const longest = Math.max(...histories.map(({ intervalMs }) => intervalMs ?? 0));
  return new Buckets(first.history.step, buckets).columns(name, longest || null);
}

/** Moves columns to later times, to compare them with what came after. */
export function later(columns: Columns, milliseconds: number): Columns {
  return milliseconds === 0 ? columns : { ...columns, times: columns.times.map((time) => time + milliseconds / 1000) };
}

/** Null breaks a line; undefined does not: at that time another series has a point. */
export type AlignedColumn = (number | null | undefined)[];

/** The means on one axis: the times of all, in seconds, then a column for each. */
export function aligned(all: readonly Columns[]): [times: number[], ...columns: AlignedColumn[]] {
  const times = [...new Set(all.flatMap((one) => one.times))].sort((one, other) => one - other);
  const place = new Map(times.map((time, n) => [time, n]));
  const columns = all.map(({ times: own, mean }) => {
    const column: AlignedColumn = Array.from({ length: times.length });
    own.forEach((time, n) => (column[place.get(time) ?? 0] = mean[n] ?? null));
    return column;
  });
  return [times, ...columns];
}
