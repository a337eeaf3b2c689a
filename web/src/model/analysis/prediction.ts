/** Forecasts of hourly means, as the bridge makes them for each device and field. */

import { HOUR, MINUTE } from "../history/time-range";
import type { TimeRange } from "../history/time-range";
import { field, list, number, text, time } from "../json";

const MODELS = ["learning", "persistence", "profile"] as const;
/** `profile` is shown; `persistence`: no better than the last value; `learning`: too few days. */
export type ForecastModel = (typeof MODELS)[number];

/** The mean of the hour that begins at `at`, and the bounds that hold it with the level of the prediction. */
export interface ForecastHour {
  readonly at: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface Prediction {
  readonly deviceId: string;
  readonly field: string;
  readonly unit: string;
  readonly model: ForecastModel;
  /** Share of the values that the bounds are made for, such as 0.9. */
  readonly level: number;
  /** By time; empty while learning. */
  readonly hours: readonly ForecastHour[];
  /** Days of the last 30 that could be compared. */
  readonly days: number;
  /** Mean absolute error of the last 30 days, in the unit. */
  readonly error: number | null;
  /** That error as a multiple of the error of assuming no change. */
  readonly ofPersistence: number | null;
  /** Share of the values of the last 30 days that were within their bounds. */
  readonly coverage: number | null;
}

/** The bridge learns for so many days before it shows a model. */
export const LEARNING_DAYS = 14;
export const FORECAST_MS = 6 * HOUR;
/** In longer ranges, six hours would be a few pixels. */
const MAX_RANGE_WITH_FORECAST = 7 * 24 * HOUR;
const MAX_PREDICTIONS = 100;
const MAX_HOURS = 24;
/** The vertical range of a chart follows the points on screen, so the last one must be near its edge. */
const SAMPLE_MS = 5 * MINUTE;

export function parsePredictions(body: unknown): Prediction[] {
  return list(field(body, "predictions")).slice(0, MAX_PREDICTIONS).flatMap((one) => parsePrediction(one) ?? []);
}

export function parsePrediction(body: unknown): Prediction | null {
  const [deviceId, name] = [text(field(body, "deviceId")), text(field(body, "field"))];
  const model = MODELS.find((one) => one === field(body, "model"));
  if (!deviceId || !name || model === undefined) return null;
  return {
    deviceId,
    field: name,
    unit: text(field(body, "unit")),
    model,
    level: number(field(body, "level")) ?? 0.9,
    hours: list(field(body, "values")).slice(0, MAX_HOURS).flatMap((one) => parseHour(one) ?? []).sort((one, other) => one.at - other.at),
    days: number(field(body, "days")) ?? 0,
    error: number(field(body, "error30d")),
    ofPersistence: number(field(body, "ofPersistence30d")),
    coverage: number(field(body, "coverage30d")),
  };
}

function parseHour(body: unknown): ForecastHour | null {
  const at = time(field(body, "at"));
  const [mean, low, high] = ["mean", "low", "high"].map((name) => number(field(body, name)));
  return at === null || mean == null || low == null || high == null ? null : { at, mean, low, high };
}

/** Whether there are hours to show: the model is better than the last value, and its last hour is not over. */
export function isShown({ model, hours }: Prediction, now: number): boolean {
  return model === "profile" && (hours.at(-1)?.at ?? 0) + HOUR > now;
}

/** The hour that a moment is in; the end of the last hour is in it. */
export function hourAt({ hours }: Prediction, at: number): ForecastHour | null {
  return hours.find((one) => at >= one.at && at < one.at + HOUR) ?? hours.at(-1) ?? null;
}

/** The hours that are not over. */
export function hoursAhead({ hours }: Prediction, now: number): readonly ForecastHour[] {
  return hours.filter(({ at }) => at + HOUR > now);
}

/** How far a chart reaches into the future: never further than into the past, and only in a range that ends now. */
export function aheadOf(range: TimeRange): number {
  return range.live && range.length >= HOUR && range.length <= MAX_RANGE_WITH_FORECAST ? Math.min(FORECAST_MS, range.length) : 0;
}

/** A forecast in the form a chart takes. `times` are in seconds. */
export interface FanColumns {
  readonly times: readonly number[];
  readonly mean: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

export const NO_FAN: FanColumns = { times: [], mean: [], low: [], high: [] };

/** From now on, on a line through the middles of the hours, which it leaves neither before the first nor after the last. */
export function fanOf(prediction: Prediction, now: number): FanColumns {
  const hours = hoursAhead(prediction, now);
  const last = hours.at(-1);
  if (!isShown(prediction, now) || last === undefined) return NO_FAN;
  const from = Math.max(now, hours[0]?.at ?? now);
  const end = last.at + HOUR;
  const times: number[] = [from];
  for (let at = Math.floor(from / SAMPLE_MS + 1) * SAMPLE_MS; at <= end; at += SAMPLE_MS) times.push(at);
  const along = (name: "mean" | "low" | "high"): number[] => times.map((at) => between(prediction.hours, name, at));
  return { times: times.map((at) => at / 1000), mean: along("mean"), low: along("low"), high: along("high") };
}

function between(hours: readonly ForecastHour[], name: "mean" | "low" | "high", at: number): number {
  const next = hours.findIndex((one) => one.at + HOUR / 2 >= at);
  const [before, after] = [hours[next - 1], hours[next] ?? hours.at(-1)];
  if (after === undefined) return Number.NaN;
  if (next < 0 || before === undefined) return after[name];
  const share = (at - before.at - HOUR / 2) / (after.at - before.at);
  return before[name] + share * (after[name] - before[name]);
}
