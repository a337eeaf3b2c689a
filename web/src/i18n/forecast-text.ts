/** The words of a forecast: its track record, and its hours for those who cannot see them. */

import type { ForecastHour, Prediction } from "../model/analysis/prediction";
import { LEARNING_DAYS, hoursAhead } from "../model/analysis/prediction";
import { HOUR } from "../model/history/time-range";
import { differenceText, formats, quantityText, t } from ".";

/** How good the forecast was, or why there is none; null where too little is known to say it. */
export function recordText(prediction: Prediction): string | null {
  const { model, days, error, ofPersistence, coverage, field, unit } = prediction;
  if (model === "learning") return t("forecast.learning", { days: Math.min(days, LEARNING_DAYS), needed: LEARNING_DAYS });
  if (model === "persistence") return t("forecast.persistence");
  if (error === null || ofPersistence === null || coverage === null) return null;
  const percent = Math.round((1 - ofPersistence) * 100);
  const values = { error: differenceText(error, field, unit), coverage: formats.value.count(coverage * 100) };
  const text = percent < 1 ? t("forecast.record.same", values) : t("forecast.record", { ...values, percent });
  return text.replaceAll(" %", "\u00a0%"); // no line break before the sign
}

/** The coming hours in one phrase; empty without any. */
export function summaryText(prediction: Prediction, now: number): string {
  const hours = hoursAhead(prediction, now);
  const last = hours.at(-1);
  if (last === undefined) return "";
  const { field, unit } = prediction;
  return t("forecast.summary", {
    hours: formats.value.duration(Math.ceil((last.at + HOUR - now) / HOUR) * HOUR),
    low: quantityText(hours.reduce((low, one) => Math.min(low, one.low), last.low), field, unit),
    high: quantityText(hours.reduce((high, one) => Math.max(high, one.high), last.high), field, unit),
    value: quantityText(last.mean, field, unit),
  });
}

export function hourText({ at, mean, low, high }: ForecastHour, { field, unit }: Prediction): string {
  return t("forecast.hour", { ...hourTimes(at), value: quantityText(mean, field, unit), low: quantityText(low, field, unit), high: quantityText(high, field, unit) });
}

/** When an hour begins and ends. */
export function hourTimes(at: number): { readonly from: string; readonly to: string } {
  const clock = (moment: number): string => formats.value.date(moment, { hour: "2-digit", minute: "2-digit" });
  return { from: clock(at), to: clock(at + HOUR) };
}
