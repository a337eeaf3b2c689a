import { boundText, sentText, t } from "../../i18n";
import type { Standard, StandardBand } from "../../model/standards";
import { bandOf } from "../../model/standards";
import type { Measurement } from "../../model/wire";

/** The word of a class. */
export function bandText({ levelKey, level }: StandardBand): string {
  return sentText(levelKey) ?? t("assessment.unknown.level", { level });
}

/** The class of a value, with its standard: for the value under the pointer. */
export function classText(standard: Standard, value: number): string | null {
  const band = bandOf(standard, value);
  return band === null ? null : bandText(band);
}

/** The classes from the second on, each with where it begins, and the standard: `from 1,000 ppm: elevated`. */
export function standardTexts(standard: Standard, { name, unit }: Measurement): { readonly title: string; readonly bands: readonly (StandardBand & { readonly text: string })[] } {
  const averaging = sentText(standard.averaging);
  const title = [sentText(standard.standard) ?? t("assessment.unknown.standard"), averaging].filter(Boolean).join("; ");
  const bands = standard.bands.map((band, n) => ({
    ...band,
    text: n === 0 ? bandText(band) : t("chart.band", { from: boundText(band.from, name, unit), level: bandText(band) }),
  }));
  return { title, bands };
}
