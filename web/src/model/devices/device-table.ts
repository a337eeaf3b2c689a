/** The table of all devices: its columns and its order. */

import type { Measurement } from "../wire";
import type { Device } from "./device";
import { sortedByImportance } from "./primary-values";
import type { RankedDevice } from "./ranking";
import { byName } from "./ranking";

/** Columns besides the measurements; no measurement is named like one. `state` sorts by how worrying a device is. */
export const FIXED_COLUMNS = ["device", "room", "state", "age"] as const;
export type FixedColumn = (typeof FIXED_COLUMNS)[number];

/** `column` is a fixed one, or the name of a measurement. */
export interface Sort {
  readonly column: string;
  readonly isDescending: boolean;
}

export const WORST_FIRST: Sort = { column: "state", isDescending: true };

const ASCENDING_AT_FIRST: ReadonlySet<string> = new Set<FixedColumn>(["device", "room", "age"]);
const SORT = /^(-?)([A-Za-z][A-Za-z0-9_]{0,63})$/;

/** Such as `co2`, or `-co2` for the highest first; null for anything else. */
export function parseSort(text: string): Sort | null {
  const [, sign, column] = SORT.exec(text) ?? [];
  return column === undefined ? null : { column, isDescending: sign === "-" };
}

export function formatSort({ column, isDescending }: Sort): string {
  return (isDescending ? "-" : "") + column;
}

/** The order after the header of a column was pressed: the other way round, or that column in its usual order. */
export function pressed(column: string, current: Sort): Sort {
  return { column, isDescending: column === current.column ? !current.isDescending : !ASCENDING_AT_FIRST.has(column) };
}

/** The measurements that any of the devices has, the most important first. */
export function measurementColumns(devices: Iterable<Device>, table: readonly Measurement[]): Measurement[] {
  const occurring = new Set<string>();
  for (const { entries } of devices) for (const name of entries.keys()) occurring.add(name);
  return sortedByImportance(table).filter(({ name }) => occurring.has(name));
}

/** Devices without a value are last either way. Among equals the worst is first, then by name. */
export function sortDevices(ranked: readonly RankedDevice[], { column, isDescending }: Sort): RankedDevice[] {
  const compare = comparison(column, isDescending ? -1 : 1);
  return [...ranked].sort((a, b) => compare(a, b) || b.score - a.score || byName.compare(a.device.name, b.device.name));
}

function comparison(column: string, sign: 1 | -1): (a: RankedDevice, b: RankedDevice) => number {
  switch (column as FixedColumn) {
    case "device":
      return (a, b) => sign * byName.compare(a.device.name, b.device.name);
    case "room":
      return (a, b) => lastIf(!roomOf(a), !roomOf(b)) || sign * byName.compare(roomOf(a), roomOf(b));
    case "state":
      return (a, b) => sign * (a.score - b.score);
    case "age":
      return byNumber(({ device }) => (device.measuredAt === null ? null : -device.measuredAt), sign);
    default:
      return byNumber(({ device }) => numeric(device, column), sign);
  }
}

function byNumber(of: (ranked: RankedDevice) => number | null, sign: 1 | -1): (a: RankedDevice, b: RankedDevice) => number {
  return (a, b) => {
    const [one, other] = [of(a), of(b)];
    return one === null || other === null ? lastIf(one === null, other === null) : sign * (one - other);
  };
}

function lastIf(one: boolean, other: boolean): number {
  return Number(one) - Number(other);
}

function numeric(device: Device, field: string): number | null {
  const value = device.entries.get(field)?.value ?? null;
  return value === null ? null : Number(value);
}

function roomOf({ device: { record } }: RankedDevice): string {
  return [record?.site, record?.room].filter(Boolean).join(" / ");
}
