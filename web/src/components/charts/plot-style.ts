import type uPlot from "uplot";

import { formats, valueText } from "../../i18n";
import { axisRange, minSpan, stepDigits } from "../../model/history/min-span";
import type { Conversion } from "../../model/units";
import { stored } from "../../model/units";

const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200];

/** What a chart shows: a measurement, in the unit of the page. */
export interface Charted {
  readonly name: string;
  readonly isFlag: boolean;
  readonly conversion: Conversion;
}

/** The colours and the font of a chart's element, because a canvas cannot use CSS variables. */
export interface PlotStyle {
  readonly line: string;
  readonly muted: string;
  readonly grid: string;
  readonly rem: number;
  readonly family: string;
  readonly fontPixels: number;
}

export function plotStyle(root: HTMLElement): PlotStyle {
  const style = getComputedStyle(root);
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  return {
    line: style.color,
    muted: style.getPropertyValue("outline-color"),
    grid: style.getPropertyValue("border-top-color"),
    rem,
    family: style.fontFamily,
    fontPixels: Math.round(0.72 * rem),
  };
}

/** Resolved colours of CSS variables, such as `--series-1`. */
export function coloursOf(root: HTMLElement, variables: readonly string[]): string[] {
  const sample = document.createElement("span");
  root.append(sample);
  const colours = variables.map((name) => {
    sample.style.color = `var(${name})`;
    return getComputedStyle(sample).color;
  });
  sample.remove();
  return colours;
}

export function plotAxes({ muted, grid, rem, family, fontPixels }: PlotStyle, { name, isFlag }: Charted): uPlot.Axis[] {
  const axis: uPlot.Axis = { stroke: muted, font: `${fontPixels}px ${family}`, grid: { stroke: grid, width: 1 }, ticks: { show: false }, gap: 6 };
  const flag: uPlot.Axis = isFlag ? { splits: () => [0, 1] } : {};
  const whole: uPlot.Axis = name === "aqi" ? { incrs: WHOLE_STEPS } : {};
  return [
    { ...axis, grid: { show: false }, size: 1.6 * rem, space: 5 * rem, values: (_, splits, __, ___, step) => timeLabels(splits, step) },
    { ...axis, size: 3 * rem, space: 2 * rem, ...flag, ...whole, values: (_, splits, __, ___, step) => splits.map((one) => (isFlag ? valueText(one === 1, name) : formats.value.number(one, stepDigits(step)))) },
  ];
}

/** The range of the vertical axis, in the shown unit. */
export function valueRange(low: number | null, high: number | null, { name, isFlag, conversion }: Charted): [number, number] {
  if (isFlag) return [-0.08, 1.08];
  if (low === null || high === null) return [0, 1];
  const least = minSpan(name, stored((low + high) / 2, conversion)) * Math.abs(conversion.scale);
  return axisRange(low, high, least);
}

/** The shortest labels that tell the times apart; the date at midnight. */
function timeLabels(splits: readonly number[], stepSeconds: number): string[] {
  const day = { month: "short", day: "numeric" } as const;
  return splits.map((split) => {
    const at = split * 1000;
    const moment = new Date(at);
    if (stepSeconds >= 28 * 86_400) return formats.value.date(at, { month: "short", year: "numeric" });
    if (stepSeconds >= 86_400 || (moment.getHours() === 0 && moment.getMinutes() === 0 && moment.getSeconds() === 0)) return formats.value.date(at, day);
    const seconds = stepSeconds < 60 ? ({ second: "2-digit" } as const) : {};
    return formats.value.date(at, { hour: "2-digit", minute: "2-digit", ...seconds });
  });
}

export function withOpacity(colour: string, opacity: number): string {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${opacity})`);
}

/** Draws within the area of the values, whatever the drawing sets. */
export function clipped(plot: uPlot, draw: (ctx: CanvasRenderingContext2D, bbox: uPlot.BBox) => void): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw(ctx, bbox);
  ctx.restore();
}
