import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import type { DrawnLimit } from "../../model/alarms/rules";
import type { AlarmSpan } from "../../model/alarms/spans";
import type { FanColumns } from "../../model/analysis/prediction";
import type { Annotation } from "../../model/history/annotations";
import type { Columns } from "../../model/history/bucket-history";
import type { ChartData } from "../../model/history/chart-data";
import { chartData, isolatedPoints } from "../../model/history/chart-data";
import type { AlignedColumn } from "../../model/history/series";
import { aligned } from "../../model/history/series";
import type { TimeSpan } from "../../model/history/time-range";
import type { Standard } from "../../model/standards";
import type { Conversion } from "../../model/units";
import { isIdentity, shown, stored } from "../../model/units";
import { AlarmMarks } from "./alarm-marks";
import { AnnotationMarks } from "./annotation-marks";
import type { ChartGestures } from "./gestures";
import { PlotGestures } from "./gestures";
import { NowMark } from "./now-mark";
import type { Charted, PlotStyle } from "./plot-style";
import { coloursOf, plotAxes, plotStyle, valueRange, withOpacity } from "./plot-style";
import { StandardMarks } from "./standard-marks";

const BAND_OPACITY = 0.16;
const FORECAST_OPACITY = 0.2;
const FORECAST_DASH = [5, 4];
const FORECAST_BOUND_DASH = [1, 3];
const PALE_OPACITY = 0.45;
const [MEASURED, AHEAD] = [1, 4];
const SYNC_KEY = "device";

interface Layers {
  readonly series: uPlot.Series[];
  readonly bands?: uPlot.Band[];
  /** The series whose points the crosshair marks, with their colours. */
  readonly pointColours: ReadonlyMap<number, string>;
  readonly extended?: (low: number | null, high: number | null) => [number | null, number | null];
  readonly drawBehind: (plot: uPlot) => void;
  readonly drawAbove: (plot: uPlot) => void;
  readonly onCursor: (plot: uPlot) => void;
}

/** Values over time, with gestures. A thin layer over uPlot, used nowhere else. It draws in the unit of the page, so that ticks are round there. */
class TimePlot {
  protected readonly plot: uPlot;
  protected readonly conversion: Conversion;
  readonly #gestures: PlotGestures;
  readonly #now = new NowMark();

  constructor(root: HTMLElement, charted: Charted, style: PlotStyle, layers: Layers, gestures: ChartGestures) {
    this.conversion = charted.conversion;
    this.#gestures = new PlotGestures(gestures);
    this.plot = new uPlot(this.#options(root, charted, style, layers), [[], ...layers.series.map(() => [])], root);
    this.#gestures.attach(this.plot);
  }

  /** `ahead` is how far the chart goes on after the span, in milliseconds. */
  setSpan({ from, to }: TimeSpan, ahead = 0): void {
    this.#now.set(ahead > 0 ? to : null);
    this.#gestures.stretch = (to + ahead - from) / (to - from);
    this.plot.setScale("x", { min: from / 1000, max: (to + ahead) / 1000 });
  }

  setSize(width: number, height: number): void {
    this.plot.setSize({ width, height });
  }

  /** The element whose colours and font the chart has. */
  get root(): HTMLElement {
    return this.plot.root.parentElement ?? this.plot.root;
  }

  /** What is drawn, for pictures. */
  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  destroy(): void {
    this.plot.destroy();
  }

  /** The range of the values may change with what is marked. */
  protected redraw(): void {
    if (this.plot.scales["x"]?.min != null) this.plot.redraw();
  }

  #options(root: HTMLElement, charted: Charted, style: PlotStyle, layers: Layers): uPlot.Options {
    const { muted, family, fontPixels } = style;
    const extended = layers.extended ?? ((low, high) => [low, high]);
    return {
      width: Math.max(root.clientWidth, 100),
      height: root.clientHeight,
      legend: { show: false },
      scales: { x: { time: true, auto: false }, y: { range: (_, low, high) => valueRange(...extended(low, high), charted) } },
      axes: plotAxes(style, charted),
      series: [{}, ...layers.series],
      ...(layers.bands ? { bands: layers.bands } : {}),
      cursor: {
        y: false,
        points: { size: (_, series) => (layers.pointColours.has(series) ? 7 : 0), width: 0, fill: (_, series) => layers.pointColours.get(series) ?? style.line },
        drag: { x: true, y: false, setScale: false },
        sync: { key: SYNC_KEY, scales: ["x", null], setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        bind: this.#gestures.bind,
      },
      hooks: {
        drawClear: [layers.drawBehind],
        draw: [layers.drawAbove, (plot) => this.#now.draw(plot, muted, `${fontPixels * devicePixelRatio}px ${family}`)],
        setSelect: [(plot) => this.#gestures.selected(plot)],
        setCursor: [layers.onCursor],
      },
    };
  }
}

export interface HoveredPoint {
  readonly at: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** Whether it is a forecast, whose bounds are `min` and `max`. */
  readonly isForecast: boolean;
}

/** What is under the pointer: a point of the line, and marks on the axis. */
export interface Hovered {
  readonly point: HoveredPoint | null;
  readonly annotations: readonly Annotation[];
}

interface Marks {
  readonly standard: StandardMarks;
  readonly alarms: AlarmMarks;
  readonly annotations: AnnotationMarks;
}

/** One measurement of a device: the mean as a line, minimum to maximum as a band; a forecast dashed and grey, with its bounds. */
export class Chart extends TimePlot {
  readonly #marks: Marks;

  constructor(root: HTMLElement, charted: Charted, gestures: ChartGestures, onHover: (hovered: Hovered | null) => void) {
    const style = plotStyle(root);
    const marks: Marks = { standard: new StandardMarks(), alarms: new AlarmMarks(), annotations: new AnnotationMarks() };
    const onCursor = (plot: uPlot): void => onHover(hovered(plot, marks.annotations, charted.conversion));
    super(root, charted, style, { ...deviceLayers(style, charted, marks), onCursor }, gestures);
    this.#marks = marks;
  }

  setData(columns: Columns, fan: FanColumns): void {
    this.plot.setData(inShownUnit(chartData(columns, fan), this.conversion), false);
  }

  setMarks(standard: Standard | null, limits: readonly DrawnLimit[], spans: readonly AlarmSpan[], annotations: readonly Annotation[]): void {
    const convert = (value: number): number => shown(value, this.conversion);
    this.#marks.standard.set(standard, this.conversion);
    this.#marks.alarms.set(limits.map((one) => ({ ...one, at: convert(one.at), clear: convert(one.clear) })), spans);
    this.#marks.annotations.set(annotations);
    this.redraw();
  }
}

function deviceLayers({ line, muted }: PlotStyle, { isFlag }: Charted, marks: Marks): Omit<Layers, "onCursor"> {
  const bound: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
  const paths = pathsOf(isFlag);
  return {
    series: [
      { ...paths, stroke: line, width: 1.6, points: isolated(line) },
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
    pointColours: new Map([[MEASURED, line], [AHEAD, muted]]),
    extended: (low, high) => marks.alarms.extended(low, high),
    drawBehind: (plot) => {
      marks.standard.draw(plot);
      marks.alarms.drawBehind(plot);
    },
    drawAbove: (plot) => {
      marks.alarms.drawLimits(plot);
      marks.annotations.draw(plot);
    },
  };
}

function pathsOf(isFlag: boolean): Pick<uPlot.Series, "paths"> {
  const stepped = isFlag ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  return stepped ? { paths: stepped } : {};
}

/** Points without neighbours are dots, which a line does not show. */
function isolated(colour: string): uPlot.Series.Points {
  return { show: true, size: 4, width: 0, fill: colour, filter: (plot, series) => isolatedPoints(plot.data[series] ?? []) };
}

function hovered(plot: uPlot, marks: AnnotationMarks, conversion: Conversion): Hovered | null {
  const { idx, left } = plot.cursor;
  const annotations = left == null || left < 0 ? [] : marks.near(plot, left);
  const point = idx == null ? null : pointAt(plot, idx, conversion);
  return point === null && annotations.length === 0 ? null : { point, annotations };
}

function pointAt(plot: uPlot, idx: number, conversion: Conversion): HoveredPoint | null {
  const at = plot.data[0][idx];
  if (at == null) return null;
  const [mean, max, min, ahead, high, low] = [0, 1, 2, 3, 4, 5].map((offset) => {
    const value = plot.data[MEASURED + offset]?.[idx];
    return value == null ? null : stored(value, conversion);
  });
  if (mean != null) return { at: at * 1000, mean, min: min ?? mean, max: max ?? mean, isForecast: false };
  return ahead == null ? null : { at: at * 1000, mean: ahead, min: low ?? ahead, max: high ?? ahead, isForecast: true };
}

/** The columns after the times, converted; null and undefined stay. */
function inShownUnit<Data extends ChartData | [number[], ...AlignedColumn[]]>(data: Data, conversion: Conversion): Data {
  if (isIdentity(conversion)) return data;
  const [times, ...columns] = data;
  return [times, ...columns.map((column) => column.map((value) => (value == null ? value : value * conversion.scale + conversion.offset)))] as unknown as Data;
}

/** Of solid lines and dashes, so that no series is told by its colour alone. */
const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [14, 5], [5, 2], [10, 3, 2, 3, 2, 3], [1, 5]];

export function dashOf(place: number): readonly number[] {
  return DASHES[place % DASHES.length] ?? [];
}

export function seriesVariable(place: number): string {
  return `--series-${(place % DASHES.length) + 1}`;
}

/** A line of a comparison. `place` chooses colour and dashes; `isPale`: the same series, earlier. */
export interface Line {
  readonly key: string;
  readonly place: number;
  readonly isPale: boolean;
}

/** The values under the pointer, by the keys of the lines. */
export interface HoveredValues {
  readonly at: number;
  readonly values: ReadonlyMap<string, number>;
}

/** Several series of one measurement: the means as lines, each with a colour and dashes of its own. */
export class ComparisonChart extends TimePlot {
  readonly #standard: StandardMarks;

  constructor(root: HTMLElement, charted: Charted, lines: readonly Line[], gestures: ChartGestures, onHover: (hovered: HoveredValues | null) => void) {
    const style = plotStyle(root);
    const colours = coloursOf(root, lines.map(({ place }) => seriesVariable(place)));
    const standard = new StandardMarks();
    const layers: Layers = {
      series: lines.map(({ place, isPale }, n) => {
        const colour = isPale ? withOpacity(colours[n] ?? style.line, PALE_OPACITY) : colours[n] ?? style.line;
        return { ...pathsOf(charted.isFlag), stroke: colour, width: isPale ? 1.2 : 1.8, dash: [...dashOf(place)], points: isolated(colour) };
      }),
      pointColours: new Map(lines.map((_, n) => [n + 1, colours[n] ?? style.line])),
      drawBehind: (plot) => standard.draw(plot),
      drawAbove: () => undefined,
      onCursor: (plot) => onHover(valuesAt(plot, lines, charted.conversion)),
    };
    super(root, charted, style, layers, gestures);
    this.#standard = standard;
  }

  /** In the order of the lines. */
  setData(columns: readonly Columns[]): void {
    this.plot.setData(inShownUnit(aligned(columns), this.conversion), false);
  }

  setStandard(standard: Standard | null): void {
    this.#standard.set(standard, this.conversion);
    this.redraw();
  }
}

/** The newest value of each line at or before the pointer, unless there is a gap. */
function valuesAt(plot: uPlot, lines: readonly Line[], conversion: Conversion): HoveredValues | null {
  const { idx } = plot.cursor;
  const at = idx == null ? null : plot.data[0][idx];
  if (idx == null || at == null) return null;
  const values = new Map<string, number>();
  lines.forEach(({ key }, n) => {
    const column = plot.data[n + 1];
    let place = idx;
    while (place > 0 && column?.[place] === undefined) place--;
    const value = column?.[place];
    if (value != null) values.set(key, stored(value, conversion));
  });
  return { at: at * 1000, values };
}
