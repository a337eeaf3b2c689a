/** The words of an assessment. A newer bridge may send keys that this page does not know: they get a neutral text. */

import type { Assessment, CompleteAssessment } from "../model/devices/assessment";
import type { Measurement } from "../model/wire";
import { fieldLabel, formats, boundText, sentText, t, valueText } from ".";

export function indexText({ key, field }: Assessment, table: readonly Measurement[]): string {
  const measurement = table.find(({ name }) => name === field);
  return sentText(key) ?? (measurement ? fieldLabel(measurement) : t("assessment.unknown"));
}

export function levelText({ levelKey, level }: CompleteAssessment): string {
  return sentText(levelKey) ?? t("assessment.unknown.level", { level });
}

/** Null when there is nothing to do, and nothing known of what to do. */
export function adviceText({ advice, level }: CompleteAssessment): string | null {
  return level > 0 && advice !== "advice.none" ? sentText(advice) : null;
}

export function standardText({ standard }: Assessment): string {
  return sentText(standard) ?? t("assessment.unknown.standard");
}

/** Standard, averaging and caveat, as sentences. */
export function smallPrint(assessment: Assessment): string {
  const averaging = sentText(assessment.averaging);
  const caveat = assessment.caveat === null ? null : sentText(assessment.caveat);
  const sentence = [standardText(assessment), averaging].filter(Boolean).join("; ");
  return [`${sentence}.`, caveat].filter(Boolean).join(" ");
}

/** The value with its unit; null for a boolean, whose level says it all. */
export function figureText({ value, unit }: CompleteAssessment): readonly [figure: string, unit: string | null] | null {
  return typeof value === "boolean" ? null : [formats.value.rate(value), unit === null ? null : sentText(unit)];
}

/** The concentration behind an index; null where the value is the measured one. */
export function measuredText({ field, measured, value }: CompleteAssessment, table: readonly Measurement[]): string | null {
  const unit = table.find(({ name }) => name === field)?.unit;
  return measured === value || !unit ? null : typeof measured === "number" ? boundText(measured, field, unit) : valueText(measured);
}
