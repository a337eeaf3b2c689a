/** What a device's readings mean, by named standards. What its fields do not allow to compute is not there. */

import { carbonMonoxide, ownEpaIndex, particles } from "./epa";
import { carbonMonoxideNow, explosiveGas, flame } from "./hazard";
import { type Hour, lastDay } from "./averaging";
import { co2, eco2, ownUbaIndex, tvoc } from "./uba";
import type { Field, Judged, Judgement } from "./assessment";

/** What is known of a device. */
export interface Measured {
  readonly nowMs: number;
  /** The newest value of each field, as a record has them. Leave out what is too old to speak of now. */
  readonly values: Readonly<Record<string, unknown>>;
  /** By field, the hours of the last day, in any order; more of them do no harm. Ask from the start of an hour: a cut one is a gap. */
  readonly hours: Readonly<Record<string, readonly Hour[]>>;
}

/** The worst first, what still needs hours last; equals in the order of the list below. */
export function judge(measured: Measured): Judgement[] {
  const judgements = [
    flameOf(measured),
    latest(measured, "ch4Ppm", (ppm) => explosiveGas("ch4Ppm", ppm)),
    latest(measured, "lpgPpm", (ppm) => explosiveGas("lpgPpm", ppm)),
    latest(measured, "coPpm", carbonMonoxideNow),
    hourly(measured, "coPpm", carbonMonoxide),
    ...(hourly(measured, "pm25", (window) => particles("pm25", window)) ?? []),
    ...(hourly(measured, "pm10", (window) => particles("pm10", window)) ?? []),
    latest(measured, "co2", co2),
    latest(measured, "tvoc", tvoc),
    latest(measured, "eco2", eco2),
    latest(measured, "aqi", (index) => ownIndex(index, measured.values["aqiScale"])),
  ];
  return judgements.filter((one) => one !== null).sort((one, other) => other.order - one.order);
}

/** The worst of a device's judgements, null when nothing is judged. Devices sort by its `order`: flames, gas, then by level. */
export function worst(judgements: readonly Judgement[]): Judged | null {
  return judgements.reduce<Judged | null>(
    (worstYet, one) => (one.complete && one.order > (worstYet?.order ?? -1) ? one : worstYet),
    null,
  );
}

function flameOf({ values }: Measured): Judged | null {
  const detected = values["flameDetected"];
  return typeof detected === "boolean" ? flame(detected) : null;
}

/** An index is a device's own only on the scale that it names. */
function ownIndex(index: number, scale: unknown): Judgement | null {
  if (scale === "uba") return ownUbaIndex(index);
  return scale === "epa" ? ownEpaIndex(index) : null;
}

function latest<Result>({ values }: Measured, field: Field, by: (value: number) => Result): Result | null {
  const value = amount(values[field]);
  return value === null ? null : by(value);
}

function hourly<Result>(
  { nowMs, values, hours }: Measured,
  field: Field,
  by: (window: ReturnType<typeof lastDay>) => Result,
): Result | null {
  const window = lastDay(hours[field] ?? [], nowMs);
  const measured = amount(values[field]) !== null || window.some((hour) => hour !== null);
  return measured ? by(window) : null;
}

function amount(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}
