/** The rules of the bridge, as far as charts show them: limits and deadbands. */

import type { Device } from "../devices/device";
import { field, list, number, text } from "../json";
import type { Priority } from "./alarm";
import { asPriority } from "./alarm";

/** Empty lists do not limit; names of devices may have `*` and `?`. */
interface RuleScope {
  readonly devices: readonly string[];
  readonly rooms: readonly string[];
  readonly sites: readonly string[];
}

export interface AlarmRule {
  readonly id: string;
  readonly field: string;
  readonly priority: Priority;
  /** Whether it judges single values and not a mean. */
  readonly isOfSingleValues: boolean;
  readonly limits: readonly Limit[];
  readonly scope: RuleScope;
}

/** An alarm is raised at `at`, and ends beyond `clear`. */
export interface Limit {
  readonly at: number;
  readonly clear: number;
}

/** A limit to be drawn on a chart. */
export interface DrawnLimit extends Limit {
  readonly rule: string;
  readonly priority: Priority;
  readonly isOfSingleValues: boolean;
}

/** Parses the enabled rules with limits on the values of a field. */
export function parseRules(body: unknown): AlarmRule[] {
  return list(field(body, "rules")).flatMap((one) => parseRule(one) ?? []);
}

const MAX_ERROR_LENGTH = 10_000;

/** Has a line for each mistake; empty if the rules file is followed. */
export function parseRulesFileError(body: unknown): string {
  return text(field(field(body, "file"), "error"), MAX_ERROR_LENGTH);
}

/** The limits of a field that hold at a device, the lowest first. */
export function limitsOf(rules: readonly AlarmRule[], device: Device, name: string): DrawnLimit[] {
  return rules
    .filter((rule) => rule.field === name && includes(rule.scope, device))
    .flatMap(({ id, priority, isOfSingleValues, limits }) => limits.map((limit) => ({ ...limit, rule: id, priority, isOfSingleValues })))
    .sort((one, other) => one.at - other.at);
}

function parseRule(body: unknown): AlarmRule | null {
  const [id, name, priority] = [text(field(body, "id")), text(field(body, "field")), asPriority(field(body, "priority"))];
  const limits = parseLimits(body);
  if (!id || !name || priority === null || limits.length === 0 || field(body, "enabled") === false) return null;
  const condition = field(body, "condition");
  const isMean = [field(body, "averaging"), field(condition, "averaging"), field(condition, "mean")].some((one) => one !== undefined && one !== null);
  return { id, field: name, priority, isOfSingleValues: !isMean, limits, scope: parseScope(field(body, "scope")) };
}

/** One limit above or below; two of `outside`, whose `clear` is a distance. None of other conditions: a dose or a change has none. */
function parseLimits(body: unknown): Limit[] {
  const condition = field(body, "condition");
  const kind = text(field(condition, "kind"));
  if (kind === "outside") {
    const [low, high, inside] = ["low", "high", "clear"].map((name) => number(field(condition, name)));
    if (low == null || high == null) return [];
    return [{ at: low, clear: low + (inside ?? 0) }, { at: high, clear: high - (inside ?? 0) }];
  }
  if (kind !== "above" && kind !== "below") return [];
  const at = number(field(body, "limit")) ?? number(field(condition, "limit"));
  if (at === null) return [];
  return [{ at, clear: number(field(body, "clear")) ?? number(field(condition, "clear")) ?? at }];
}

function parseScope(body: unknown): RuleScope {
  const texts = (name: string): string[] => list(field(body, name)).flatMap((one) => text(one) || []);
  return { devices: texts("devices"), rooms: texts("rooms"), sites: texts("sites") };
}

function includes({ devices, rooms, sites }: RuleScope, { id, record }: Device): boolean {
  const isAmong = (names: readonly string[], name: string | null | undefined): boolean => names.length === 0 || (name != null && names.includes(name));
  return (devices.length === 0 || devices.some((pattern) => matchesGlob(pattern, id))) && isAmong(rooms, record?.room) && isAmong(sites, record?.site);
}

/** Walks back only to the last `*`, so that no pattern takes long. */
function matchesGlob(pattern: string, name: string): boolean {
  let [p, n, star, mark] = [0, 0, -1, 0];
  while (n < name.length) {
    if (p < pattern.length && pattern[p] !== "*" && (pattern[p] === "?" || pattern[p] === name[n])) [p, n] = [p + 1, n + 1];
    else if (pattern[p] === "*") [star, mark, p] = [p, n, p + 1];
    else if (star >= 0) [p, mark, n] = [star + 1, mark + 1, mark + 1];
    else return false;
  }
  return [...pattern.slice(p)].every((one) => one === "*");
}

/** How far beyond the values a limit may be to be shown, as a multiple of their range, or of half the limit. */
const NEAR = 1;

/** The limits that a chart of values from `low` to `high` shows. With others the values would become a line. */
export function nearLimits<Shown extends Limit>(limits: readonly Shown[], low: number, high: number): Shown[] {
  return limits.filter(({ at }) => {
    const distance = Math.max(low - at, at - high);
    return distance <= Math.max(NEAR * (high - low), Math.abs(at) / 2);
  });
}

/** The range of a chart, extended to the limits that it shows. */
export function extendedRange(limits: readonly Limit[], low: number, high: number): [low: number, high: number] {
  const near = nearLimits(limits, low, high);
  return [Math.min(low, ...near.map(({ at }) => at)), Math.max(high, ...near.map(({ at }) => at))];
}
