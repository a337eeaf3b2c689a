import type { Value } from "./wire";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Digits after the point by size: a gas sensor's 0.042 and a barometer's 1,013.2 both stay readable. */
const DIGITS: readonly (readonly [from: number, digits: number])[] = [[10_000, 0], [10, 1], [1, 2], [0.01, 3]];

const decimals = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits }));
const tiny = new Intl.NumberFormat("en", { maximumSignificantDigits: 2, notation: "scientific" });

export function formatNumber(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const digits = DIGITS.find(([from]) => size >= from)?.[1];
  const format = digits === undefined ? tiny : decimals[digits] ?? tiny;
  return format.format(value).replaceAll("-", "−").replace("E", "e");
}

export function formatValue(value: Value | null): string {
  if (value === null) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return formatNumber(value);
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${decimals[0]?.format(count)} ${count === 1 ? one : many}`;
}

/** A device's clock may run ahead of the bridge's, so an age below zero is "just now". */
export function formatAge(milliseconds: number): string {
  if (milliseconds < SECOND) return "just now";
  if (milliseconds < MINUTE) return `${Math.floor(milliseconds / SECOND)} s ago`;
  if (milliseconds < HOUR) return `${Math.floor(milliseconds / MINUTE)} min ago`;
  if (milliseconds < DAY) return `${Math.floor(milliseconds / HOUR)} h ago`;
  return `${Math.floor(milliseconds / DAY)} d ago`;
}

/** The time of day where the reader is; with the date when that is another day. */
export function formatMoment(milliseconds: number, now: number): string {
  const moment = new Date(milliseconds);
  const clock = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(twoDigits).join(":");
  if (moment.toDateString() === new Date(now).toDateString()) return clock;
  return `${moment.getFullYear()}-${twoDigits(moment.getMonth() + 1)}-${twoDigits(moment.getDate())} ${clock}`;
}

/** "outside 400..65000" as a person would say it. */
export function formatQuality(flag: string): string {
  return flag.replace(/(-?[\d.]*\d)\s*\.\.\s*(-?\d[\d.]*)/, "$1 to $2").replaceAll(/(?<![\w.])-(?=\d)/g, "−");
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
