/** Assesses a device's readings by named standards. An indicator whose fields are missing is left out. */

import type { Assessment, CompleteAssessment, Field } from "./assessment";
import { type HourlyMean, lastDay } from "./averaging";
import { carbonMonoxide, deviceEpaIndex, particles } from "./epa";
import { carbonMonoxideNow, explosiveGas, flame } from "./hazard";
import { co2, deviceUbaIndex, eco2, tvoc } from "./uba";

export interface AssessmentInput {
  readonly nowMs: number;
  /** The newest value of each field, as in a record. The caller leaves out values that are too old. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Hourly means of the last day by field, in any order; older hours are ignored. Query whole hours: a partial one counts as a gap. */
  readonly hours: Readonly<Record<string, readonly HourlyMean[]>>;
}

/** Worst first, incomplete ones last; ties keep the order of the list below. */
export function assess(input: AssessmentInput): Assessment[] {
  const assessments = [
    flameOf(input),
    latest(input, "ch4Ppm", (ppm) => explosiveGas("ch4Ppm", ppm)),
    latest(input, "lpgPpm", (ppm) => explosiveGas("lpgPpm", ppm)),
    latest(input, "coPpm", carbonMonoxideNow),
    hourly(input, "coPpm", carbonMonoxide),
    ...(hourly(input, "pm25", (window) => particles("pm25", window)) ?? []),
    ...(hourly(input, "pm10", (window) => particles("pm10", window)) ?? []),
    latest(input, "co2", co2),
    latest(input, "tvoc", tvoc),
    latest(input, "eco2", eco2),
    latest(input, "aqi", (index) => deviceIndex(index, input.values["aqiScale"])),
  ];
  return assessments.filter((one) => one !== null).sort((one, other) => other.order - one.order);
}

/** The worst complete assessment, or null. Devices are sorted by its `order`: flames, gas, then by level. */
export function worst(assessments: readonly Assessment[]): CompleteAssessment | null {
  return assessments.reduce<CompleteAssessment | null>(
    (worstYet, one) => (one.complete && one.order > (worstYet?.order ?? -1) ? one : worstYet),
    null,
  );
}

function flameOf({ values }: AssessmentInput): CompleteAssessment | null {
  const detected = values["flameDetected"];
  return typeof detected === "boolean" ? flame(detected) : null;
}

/** A device's own index is assessed only on a known scale. */
function deviceIndex(index: number, scale: unknown): Assessment | null {
  if (scale === "uba") return deviceUbaIndex(index);
  return scale === "epa" ? deviceEpaIndex(index) : null;
}

function latest<Result>({ values }: AssessmentInput, field: Field, by: (value: number) => Result): Result | null {
  const value = amount(values[field]);
  return value === null ? null : by(value);
}

function hourly<Result>(
  { nowMs, values, hours }: AssessmentInput,
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
