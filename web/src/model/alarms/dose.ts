/** The dose of carbon monoxide as a ring, from the bridge's assessment. */

import type { Assessment } from "../devices/assessment";

const DOSE_KEY = "index.co.dose";

export interface DoseRing {
  /** Of the dose at which a CO alarm sounds, 0 to 1. */
  readonly share: number;
  /** At the present concentration; null when the dose does not grow, or the bridge does not say. */
  readonly minutesLeft: number | null;
}

/** Null where the bridge knows no dose. */
export function doseRing(assessments: readonly Assessment[]): DoseRing | null {
  const dose = assessments.find(({ key }) => key === DOSE_KEY);
  if (!dose?.complete || typeof dose.value !== "number") return null;
  const share = Math.min(Math.max(dose.value / 100, 0), 1);
  return { share, minutesLeft: share < 1 ? dose.minutesLeft : null };
}

/** The length of the arc in a ring of this radius, and of the rest. */
export function dashes(share: number, radius: number): readonly [drawn: number, rest: number] {
  const circumference = 2 * Math.PI * radius;
  return [share * circumference, (1 - share) * circumference];
}
