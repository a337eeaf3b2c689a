import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { formats, valueText } from "../../i18n";
import type { DrawnLimit } from "../../model/alarms/rules";
import type { AlarmSpan } from "../../model/alarms/spans";
import type { FanColumns } from "../../model/analysis/prediction";
import type { Columns } from "../../model/history/bucket-history";
import type { ChartData } from "../../model/history/chart-data";
import { chartData, isolatedPoints } from "../../model/history/chart-data";
import type { TimeSpan } from "../../model/history/time-range";
import type { Conversion } from "../../model/units";
import { isIdentity, shown, stored } from "../../model/units";
import type { Measurement } from "../../model/wire";
import { AlarmMarks } from "./alarm-marks";
import { NowMark } from "./now-mark";

const BAND_OPACITY = 0.16;
const FORECAST_OPACITY = 0.2;
const FORECAST_DASH = [5, 4];
const FORECAST_BOUND_DASH = [1, 3];
const [MEASURED, AHEAD] = [1, 4];
const MIN_RELATIVE_SPAN = 0.01;
const SYNC_KEY = "device";
const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200];

/** Pointer gestures on a chart; they change the time range of all charts. */
export interface ChartGestures {
  zoomTo(span: TimeSpan): void;
  /** Scales the range around a moment. */
  zoomBy(factor: number, around: number): void;
  /** By a fraction of the visible range. */
  panBy(fraction: number): void;
  toLive(): void;
}

export interface HoveredPoint {
  readonly at: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** Whether it is a forecast, whose bounds are `min` and `max`. */
  readonly isForecast: boolean;
}

/**
 * One measurement over time: the mean as a line, minimum to maximum as a band; a forecast dashed and grey, with its bounds. A thin
 * layer over uPlot, used nowhere else. It takes and tells stored values, and draws them in the unit of the page, so that ticks are
 * round there.
 */
export class Chart {
  readonly #plot: uPlot;
  readonly #marks = new AlarmMarks();
  readonly #now = new NowMark();
  readonly #gestures: ChartGestures;
  readonly #conversion: Conversion;
  readonly #fingers = new Map<number, number>();
  /** How much longer the time on screen is than the range that gestures change. */
  #stretch = 1;

  constructor(root: HTMLElement, measurement: Measurement, isFlag: boolean, conversion: Conversion, gestures: ChartGestures, onHover: (hovered: HoveredPoint | null) => void) {
    this.#gestures = gestures;
    this.#conversion = conversion;
    const options = chartOptions(root, measurement.name, isFlag, this.#marks, this.#now, (hovered) => onHover(hovered && inStoredUnit(hovered, conversion)), (plot) => this.#selected(plot), (event) => this.#beginPan(event), () => gestures.toLive());
    this.#plot = new uPlot(options, [[], [], [], [], [], [], []], root);
    this.#listen(this.#plot.over);
  }

  setData(columns: Columns, fan: FanColumns): void {
    this.#plot.setData(inShownUnit(chartData(columns, fan), this.#conversion), false);
  }

  setAlarms(limits: readonly DrawnLimit[], spans: readonly AlarmSpan[]): void {
    const convert = (value: number): number => shown(value, this.#conversion);
    this.#marks.set(limits.map((one) => ({ ...one, at: convert(one.at), clear: convert(one.clear) })), spans);
    if (this.#plot.scales["x"]?.min != null) this.#plot.redraw(); // the range may extend to a limit
  }

  /** `ahead` is how far the chart goes on after the span, in milliseconds. */
  setSpan({ from, to }: TimeSpan, ahead: number): void {
    this.#now.set(ahead > 0 ? to : null);
    this.#stretch = (to + ahead - from) / (to - from);
    this.#plot.setScale("x", { min: from / 1000, max: (to + ahead) / 1000 });
  }

  setSize(width: number, height: number): void {
    this.#plot.setSize({ width, height });
  }

  destroy(): void {
    this.#plot.destroy();
  }

  #selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width <= 0) return;
    const span = { from: plot.posToVal(left, "x") * 1000, to: plot.posToVal(left + width, "x") * 1000 };
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#gestures.zoomTo(span);
  }

  #beginPan(event: MouseEvent): void {
    let { clientX } = event;
    const move = (moved: MouseEvent): void => {
      this.#panBy((clientX - moved.clientX) / this.#plot.over.clientWidth);
      clientX = moved.clientX;
    };
    const end = (): void => {
      removeEventListener("mousemove", move);
      removeEventListener("mouseup", end);
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", end);
  }

  #listen(over: HTMLElement): void {
    over.style.touchAction = "pan-y";
    over.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    over.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") this.#fingers.set(event.pointerId, event.clientX);
    });
    over.addEventListener("pointermove", (event) => this.#fingerMoved(event));
    for (const end of ["pointerup", "pointercancel", "pointerleave"] as const) {
      over.addEventListener(end, (event) => this.#fingers.delete(event.pointerId));
    }
  }

  /** By a fraction of the width. */
  #panBy(fraction: number): void {
    this.#gestures.panBy(fraction * this.#stretch);
  }

  /** Ctrl or ⌘ zooms, horizontal scrolling pans; anything else scrolls the page. */
  #wheel(event: WheelEvent): void {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const around = this.#plot.posToVal(event.offsetX, "x") * 1000;
      this.#gestures.zoomBy(2 ** (event.deltaY / 300), around);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.#panBy(event.deltaX / this.#plot.over.clientWidth);
    }
  }

  /** One finger pans, two zoom. */
  #fingerMoved(event: PointerEvent): void {
    const before = this.#fingers.get(event.pointerId);
    if (before === undefined) return;
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    const { left, width } = this.#plot.over.getBoundingClientRect();
    if (other === undefined) this.#panBy((before - event.clientX) / width);
    else {
      const [was, is] = [Math.abs(before - other), Math.abs(event.clientX - other)];
      const around = this.#plot.posToVal((event.clientX + other) / 2 - left, "x") * 1000;
      if (was > 8 && is > 8) this.#gestures.zoomBy(was / is, around);
    }
    this.#fingers.set(event.pointerId, event.clientX);
  }
}

function chartOptions(
  root: HTMLElement,
  field: string,
  isFlag: boolean,
  marks: AlarmMarks,
  now: NowMark,
  onHover: (hovered: HoveredPoint | null) => void,
  onSelect: (plot: uPlot) => void,
  onPan: (event: MouseEvent) => void,
  onLive: () => void,
): uPlot.Options {
  const style = getComputedStyle(root);
  const line = style.color;
  const [muted, grid] = [style.getPropertyValue("outline-color"), style.getPropertyValue("border-top-color")];
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const fontPixels = Math.round(0.72 * rem);
  const axis: uPlot.Axis = {
    stroke: muted,
    font: `${fontPixels}px ${style.fontFamily}`,
    grid: { stroke: grid, width: 1 },
    ticks: { show: false },
    gap: 6,
  };
  const bound: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
  const stepped = isFlag ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  const paths = stepped ? { paths: stepped } : {};
  return {
    width: Math.max(root.clientWidth, 100),
    height: root.clientHeight,
    legend: { show: false },
    scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => yRange(...marks.extended(low, high), isFlag) } },
    axes: [
      { ...axis, grid: { show: false }, size: 1.6 * rem, space: 5 * rem, values: (_, splits, __, ___, step) => timeLabels(splits, step) },
      { ...axis, size: 3 * rem, space: 2 * rem, ...(isFlag ? { splits: () => [0, 1] } : {}), ...(field === "aqi" ? { incrs: WHOLE_STEPS } : {}), values: (_, splits) => splits.map((one) => (isFlag ? valueText(one === 1, field) : formats.value.number(one))) },
    ],
    series: [
      {},
      { ...paths, stroke: line, width: 1.6, points: { show: true, size: 4, width: 0, fill: line, filter: (plot, series) => isolatedPoints(plot.data[series] ?? []) } },
      { ...paths, ...bound },
      { ...paths, ...bound },
      { stroke: muted, width: 1.6, dash: FORECAST_DASH, points: { show: false } },
      { stroke: muted, width: 1, dash: FORECAST_BOUND_DASH, points: { show: false } },
      { stroke: muted, width: 1, dash: FORECAST_BOUND_DASH, points: { show: false } },
    ],
    bands: [
      { series: [2, 3], fill: withOpacity(line, BAND_OPACITY) },
      { series: [5, 6], fill: withOpacity(muted, FORECAST_OPACITY) },
    ],
    cursor: {
      y: false,
      points: { size: (_, series) => (series === MEASURED || series === AHEAD ? 7 : 0), width: 0, fill: (_, series) => (series === AHEAD ? muted : line) },
      drag: { x: true, y: false, setScale: false },
      sync: { key: SYNC_KEY, scales: ["x", null], setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      bind: {
        mousedown: (_plot, _target, proceed) => (event) => {
          if (event.shiftKey) onPan(event);
          else proceed(event);
          return null;
        },
        dblclick: () => () => {
          onLive();
          return null;
        },
      },
    },
    hooks: {
      drawClear: [(plot) => marks.drawBehind(plot)],
      draw: [(plot) => marks.drawLimits(plot), (plot) => now.draw(plot, muted, `${fontPixels * devicePixelRatio}px ${style.fontFamily}`)],
      setSelect: [onSelect],
      setCursor: [(plot) => onHover(hovered(plot))],
    },
  };
}

function hovered(plot: uPlot): HoveredPoint | null {
  const { idx } = plot.cursor;
  if (idx == null) return null;
  const at = plot.data[0][idx];
  const [mean, max, min] = [MEASURED, MEASURED + 1, MEASURED + 2].map((series) => plot.data[series]?.[idx]);
  if (at == null) return null;
  if (mean != null) return { at: at * 1000, mean, min: min ?? mean, max: max ?? mean, isForecast: false };
  const [ahead, high, low] = [AHEAD, AHEAD + 1, AHEAD + 2].map((series) => plot.data[series]?.[idx]);
  return ahead == null ? null : { at: at * 1000, mean: ahead, min: low ?? ahead, max: high ?? ahead, isForecast: true };
}

/** The columns after the times, converted; null and undefined stay. */
function inShownUnit(data: ChartData, conversion: Conversion): ChartData {
  if (isIdentity(conversion)) return data;
  const [times, ...columns] = data;
  return [times, ...columns.map((column) => column.map((value) => (value == null ? value : value * conversion.scale + conversion.offset)))] as unknown as ChartData;
}

function inStoredUnit({ at, mean, min, max, isForecast }: HoveredPoint, conversion: Conversion): HoveredPoint {
  return { at, mean: stored(mean, conversion), min: stored(min, conversion), max: stored(max, conversion), isForecast };
}

/** Adds a margin, and a minimum range so that noise does not fill the chart. */
function yRange(low: number | null, high: number | null, isFlag: boolean): [number, number] {
  if (isFlag) return [-0.08, 1.08];
  if (low === null || high === null) return [0, 1];
  const middle = (low + high) / 2;
  const span = Math.max(high - low, Math.abs(middle) * MIN_RELATIVE_SPAN, 1e-3) * 1.15;
  const bottom = middle - span / 2;
  return [low >= 0 && bottom < 0 ? 0 : bottom, middle + span / 2];
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

function withOpacity(colour: string, opacity: number): string {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${opacity})`);
}
