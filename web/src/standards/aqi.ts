/** The US EPA's Air Quality Index: from an averaged concentration to a number and a category.
 *
 * Breakpoints in force since 6 May 2024: 40 CFR 58 App. G, table 2, as amended by 89 FR 16202 (6 March 2024); the same table with
 * the rules for truncation and rounding is table 6 of "Technical Assistance Document for the Reporting of Daily Air Quality",
 * EPA-454/B-24-002, May 2024. Above 500 the last category is extrapolated, as that document says: equation 1 with the
 * concentration for 500.
 */

import type { Level } from "./assessment";

export type Pollutant = "pm25" | "pm10" | "coPpm";

interface Table {
  /** Decimal places kept by truncation. */
  readonly digits: number;
  /** The concentration range of each category, in the field's unit. */
  readonly bands: readonly (readonly [low: number, high: number])[];
}

/** The index range of each category, from good to hazardous. */
export const INDEX_BANDS = [[0, 50], [51, 100], [101, 150], [151, 200], [201, 300], [301, 500]] as const;

export const TABLES: Readonly<Record<Pollutant, Table>> = {
  // µg/m³, 24 hours
  pm25: { digits: 1, bands: [[0, 9.0], [9.1, 35.4], [35.5, 55.4], [55.5, 125.4], [125.5, 225.4], [225.5, 325.4]] },
  // µg/m³, 24 hours
  pm10: { digits: 0, bands: [[0, 54], [55, 154], [155, 254], [255, 354], [355, 424], [425, 604]] },
  // ppm, 8 hours
  coPpm: { digits: 1, bands: [[0, 4.4], [4.5, 9.4], [9.5, 12.4], [12.5, 15.4], [15.5, 30.4], [30.5, 50.4]] },
};

/** Tolerance for binary fractions: the mean of 24 hours of 35.4 computes as 35.39999… */
const ROUNDING_ERROR = 1e-9;

export function truncated(pollutant: Pollutant, concentration: number): number {
  const scale = 10 ** TABLES[pollutant].digits;
  return Math.floor(Math.max(0, concentration) * scale + ROUNDING_ERROR) / scale;
}

/** Equation 1 of App. G, rounded to the nearest integer. `concentration` is an average; it is truncated here. */
export function aqi(pollutant: Pollutant, concentration: number): { readonly index: number; readonly category: Level } {
  const value = truncated(pollutant, concentration);
  const { bands } = TABLES[pollutant];
  const category = categoryOf(value, bands);
  const [low, high] = bands[category] ?? [0, 1];
  const [lowIndex, highIndex] = INDEX_BANDS[category];
  const exact = ((highIndex - lowIndex) * (value - low)) / (high - low) + lowIndex;
  return { index: Math.round(exact + ROUNDING_ERROR), category };
}

/** The category of an index that the device computed. */
export function aqiCategory(index: number): Level {
  return categoryOf(Math.round(index), INDEX_BANDS);
}

function categoryOf(value: number, bands: Table["bands"]): Level {
  const found = bands.findIndex(([, high]) => value <= high);
  return (found < 0 ? bands.length - 1 : found) as Level;
}
