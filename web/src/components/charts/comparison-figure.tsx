import type { ReadonlySignal } from "@preact/signals";
import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

import type { Comparison } from "../../app/comparison";
import { SHIFTS } from "../../app/comparison";
import { useStore } from "../../app/context";
import { onRangeKey, rangeGestures } from "../../app/range-gestures";
import { useStandards } from "../../app/use-standards";
import { fieldLabel, formats, quantityText, t, unitText, valueText } from "../../i18n";
import { shownAs } from "../../i18n/units";
import type { Columns } from "../../model/history/bucket-history";
import { csvText, fileName } from "../../model/history/csv";
import type { Series } from "../../model/history/series";
import { later } from "../../model/history/series";
import { standardOf } from "../../model/standards";
import type { Measurement } from "../../model/wire";
import { download, downloadCsv } from "../download";
import { Icon } from "../icon";
import { isDark } from "../theme";
import type { HoveredValues, Line } from "./chart";
import { ComparisonChart, dashOf, seriesVariable } from "./chart";
import { chartPicture } from "./picture";
import { coloursOf } from "./plot-style";
import { StandardLegend } from "./standard-legend";

interface ComparisonFigureProps {
  readonly comparison: Comparison;
  readonly series: ReadonlySignal<readonly Series[]>;
  readonly measurement: Measurement;
  readonly onRemove: (key: string) => void;
}

interface DrawnLine extends Line {
  readonly series: Series;
  readonly columns: Columns;
}

const EARLIER = "\u0000earlier"; // no key of a series has it

/** Several series on one chart, and their legend with the values under the pointer, else the newest. */
export function ComparisonFigure({ comparison, series, measurement, onRemove }: ComparisonFigureProps): JSX.Element {
  const store = useStore();
  const chart = useRef<ComparisonChart | null>(null);
  const hovered = useSignal<HoveredValues | null>(null);
  const { name, unit } = measurement;
  const { value: lines } = useComputed((): readonly DrawnLine[] => {
    const isShifted = comparison.shift.value !== "none";
    const line = (one: Series, place: number, isPale: boolean): DrawnLine => ({ key: isPale ? one.key + EARLIER : one.key, place, isPale, series: one, columns: comparison.columns(one, isPale) });
    return [...(isShifted ? series.value.map((one, place) => line(one, place, true)) : []), ...series.value.map((one, place) => line(one, place, false))];
  });
  const standards = useStandards();
  const standard = useMemo(() => standardOf(standards, name, new Set()), [standards, name]);
  const label = fieldLabel(measurement);
  const span = comparison.span.value;
  const spanText = `${formats.value.full(span.from)} – ${formats.value.full(span.to)}`;

  const saveCsv = (): void => {
    const shift = SHIFTS[comparison.shift.peek()];
    const { from, to } = comparison.span.peek();
    const rows = lines.map(({ series: one, columns, isPale }) => {
      const [first] = one.devices;
      const isRoom = one.room !== null;
      return {
        device: isRoom ? "" : one.key,
        name: isRoom ? seriesText(one) : first?.record?.name ?? "",
        room: one.room ?? first?.record?.room ?? "",
        columns: isPale ? later(columns, -shift) : columns,
      };
    });
    const what = series.peek().length === 1 ? series.peek()[0]?.label ?? "" : t("compare.title");
    downloadCsv(csvText(name, shownAs(name, unit), rows, { from: from - shift, to }), fileName(what, name, { from, to }, "csv"));
  };
  const savePicture = async (): Promise<void> => {
    const { current } = chart;
    if (!current) return;
    const colours = coloursOf(current.root, lines.map(({ place }) => seriesVariable(place)));
    const legend = lines.map((line, n) => ({ label: lineText(line, comparison), colour: colours[n] ?? "", dash: dashOf(line.place) }));
    const picture = await chartPicture(current.root, current.canvas, unit ? `${label} (${unitText(name, unit)})` : label, spanText, legend);
    if (picture) download(picture, fileName(t("compare.title"), name, comparison.span.peek(), "png"));
  };
  const status = comparison.loadState.value;
  return (
    <figure class="chart comparison">
      <figcaption>
        <h2>{label}{unit && <span class="unit"> {unitText(name, unit)}</span>}</h2>
        <p class="hovered">{hovered.value ? <time>{formats.value.moment(hovered.value.at, store.now.peek())}</time> : status.state === "loading" ? t("chart.loading") : t("compare.step", { step: formats.value.duration(comparison.step) })}</p>
        <p class="chart-actions">
          <button type="button" class="text-button" onClick={saveCsv}>{t("chart.csv")}</button>
          <button type="button" class="text-button" onClick={() => void savePicture()}>{t("chart.png")}</button>
        </p>
      </figcaption>
      {status.state === "failed" && <p class="error small" role="alert">{t("chart.failed", { error: status.error })}</p>}
      <div class="plot" role="group" tabIndex={0} aria-label={t("chart.region")} onKeyDown={(event) => onRangeKey(event, comparison, store.bridgeNow())}>
        <ComparisonPlot comparison={comparison} lines={lines} measurement={measurement} standard={standard} chart={chart} onHover={(one) => (hovered.value = one)} />
      </div>
      {standard && <StandardLegend standard={standard} measurement={measurement} />}
      <Legend lines={lines} comparison={comparison} measurement={measurement} hovered={hovered.value} onRemove={onRemove} />
    </figure>
  );
}

function seriesText({ label, room }: Series): string {
  return room === null ? label : t("compare.mean", { room });
}

function lineText({ series, isPale }: DrawnLine, { shift }: Comparison): string {
  const name = seriesText(series);
  return isPale ? t(shift.value === "week" ? "compare.lastWeek" : "compare.yesterday", { name }) : name;
}

interface LegendProps {
  readonly lines: readonly DrawnLine[];
  readonly comparison: Comparison;
  readonly measurement: Measurement;
  readonly hovered: HoveredValues | null;
  readonly onRemove: (key: string) => void;
}

function Legend({ lines, comparison, measurement: { name, unit }, hovered, onRemove }: LegendProps): JSX.Element {
  return (
    <ul class="series-legend" aria-label={t("compare.legend")}>
      {lines.toSorted((one, other) => one.place - other.place || Number(one.isPale) - Number(other.isPale)).map((line) => {
        const { key, place, isPale, series, columns } = line;
        const value = hovered ? hovered.values.get(key) ?? null : columns.mean.findLast((one) => one !== null) ?? null;
        return (
          <li key={key} data-pale={isPale} style={{ color: `var(${seriesVariable(place)})` }}>
            <svg class="swatch" viewBox="0 0 36 6" aria-hidden="true"><line x1="1" y1="3" x2="35" y2="3" stroke-dasharray={dashOf(place).join(" ")} /></svg>
            <span class="name">{lineText(line, comparison)}</span>
            <span class="figure">{valueText(value, name)}{value !== null && unit && <span class="unit"> {unitText(name, unit)}</span>}</span>
            {!isPale && <button type="button" class="icon-button" aria-label={t("compare.remove", { name: seriesText(series) })} title={t("compare.remove", { name: seriesText(series) })} onClick={() => onRemove(series.key)}><Icon name="close" /></button>}
          </li>
        );
      })}
    </ul>
  );
}

interface ComparisonPlotProps {
  readonly comparison: Comparison;
  readonly lines: readonly DrawnLine[];
  readonly measurement: Measurement;
  readonly standard: ReturnType<typeof standardOf>;
  readonly chart: { current: ComparisonChart | null };
  readonly onHover: (hovered: HoveredValues | null) => void;
}

function ComparisonPlot({ comparison, lines, measurement: { name, unit }, standard, chart, onHover }: ComparisonPlotProps): JSX.Element {
  const store = useStore();
  const root = useRef<HTMLDivElement>(null);
  const dark = isDark.value;
  const isFlag = name === "flameDetected";
  const conversion = useMemo(() => shownAs(name, unit), [name, shownAs(name, unit).unit]);
  const keys = JSON.stringify(lines.map(({ key }) => key));
  const span = comparison.span.value;
  useEffect(() => {
    const element = root.current;
    if (!element) return undefined;
    const created = new ComparisonChart(element, { name, isFlag, conversion }, lines, rangeGestures(comparison, () => store.bridgeNow()), onHover);
    chart.current = created;
    const observer = new ResizeObserver(() => created.setSize(element.clientWidth, element.clientHeight));
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      chart.current = null;
    };
  }, [dark, keys, conversion]);
  useEffect(() => chart.current?.setStandard(standard), [standard, dark, keys, conversion]);
  useEffect(() => chart.current?.setData(lines.map(({ columns }) => columns)), [lines, dark, keys, conversion]);
  useEffect(() => chart.current?.setSpan(span), [span, lines, dark, keys, conversion]);
  const isEmpty = lines.every(({ columns }) => columns.mean.every((one) => one === null));
  const summaries = lines.map((line) => {
    const value = line.columns.mean.findLast((one) => one !== null) ?? null;
    return `${lineText(line, comparison)} ${quantityText(value, name, unit)}`;
  });
  return (
    <>
      <div class="canvas" ref={root} role="img" aria-label={isEmpty ? t("chart.empty") : summaries.join(", ")} />
      {isEmpty && comparison.loadState.value.state === "idle" && <p class="empty">{t("chart.empty")}</p>}
    </>
  );
}
