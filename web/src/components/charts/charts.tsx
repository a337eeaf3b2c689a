import { useComputed, useSignal } from "@preact/signals";
import type { JSX, RefObject } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { useDevice, useStore } from "../../app/context";
import type { DeviceAlarms } from "../../app/device-alarms";
import type { DeviceAnnotations } from "../../app/device-annotations";
import type { DeviceForecasts } from "../../app/device-forecasts";
import type { DeviceHistory } from "../../app/device-history";
import { ageText, boundText, fieldLabel, formats, quantityText, t, unitText, valueText } from "../../i18n";
import { hourText, hourTimes, recordText, summaryText } from "../../i18n/forecast-text";
import { shownAs } from "../../i18n/units";
import { limitsOf, nearLimits } from "../../model/alarms/rules";
import { alarmSpans } from "../../model/alarms/spans";
import type { Prediction } from "../../model/analysis/prediction";
import { NO_FAN, fanOf, hourAt, hoursAhead } from "../../model/analysis/prediction";
import type { Device } from "../../model/devices/device";
import { annotationsFor } from "../../model/history/annotations";
import { csvText, fileName } from "../../model/history/csv";
import { hrefOf } from "../../model/route";
import type { Standard } from "../../model/standards";
import { standardOf } from "../../model/standards";
import type { Measurement } from "../../model/wire";
import { rangeGestures } from "../../app/range-gestures";
import { isDark } from "../theme";
import { useVisible } from "../use-visible";
import { download, downloadCsv } from "../download";
import { annotationText } from "./annotation-list";
import type { Hovered } from "./chart";
import { Chart } from "./chart";
import { ChartMenu } from "./chart-menu";
import type { ChartGestures } from "./gestures";
import { chartPicture } from "./picture";
import { coloursOf } from "./plot-style";
import { StandardLegend } from "./standard-legend";
import { classText } from "./standard-text";

interface ChartsProps {
  readonly device: Device;
  readonly history: DeviceHistory;
  readonly alarms: DeviceAlarms;
  readonly forecasts: DeviceForecasts;
  readonly annotations: DeviceAnnotations;
  readonly standards: readonly Standard[];
}

/** A chart for every measurement that the device has, or had in the selected range. */
export function Charts(props: ChartsProps): JSX.Element {
  const { device, history } = props;
  const store = useStore();
  const gestures = rangeGestures(history, () => store.bridgeNow());
  const fields = useComputed(() => {
    store.deviceVersion(device.id).value;
    history.version.value;
    const present = new Set([...history.history.value.fields, ...device.entries.keys()]);
    return store.table.value.filter(({ name }) => present.has(name));
  });
  return (
    <div class="charts">
      {fields.value.map((measurement) => (
        <ChartFigure key={measurement.name} {...props} measurement={measurement} gestures={gestures} />
      ))}
    </div>
  );
}

interface ChartFigureProps extends ChartsProps {
  readonly measurement: Measurement;
  readonly gestures: ChartGestures;
}

function ChartFigure(props: ChartFigureProps): JSX.Element {
  const { device, forecasts, measurement, standards } = props;
  const store = useStore();
  const [root, isVisible] = useVisible<HTMLElement>();
  const hovered = useSignal<Hovered | null>(null);
  const chart = useRef<Chart | null>(null);
  const assessed = store.assessment(device).assessments.filter(({ field }) => field === measurement.name).map(({ key }) => key).join();
  const standard = useMemo(() => standardOf(standards, measurement.name, new Set(assessed.split(","))), [standards, measurement.name, assessed]);
  const noted = forecasts.noted(measurement.name);
  const record = noted && recordText(noted);
  return (
    <figure class="chart" ref={root}>
      <Caption device={device} measurement={measurement} hovered={hovered.value} prediction={noted} standard={standard} menu={<DeviceChartMenu {...props} chart={chart} standard={standard} />} />
      <div class="plot">
        {isVisible && <Plot {...props} standard={standard} chart={chart} onHover={(one) => (hovered.value = one)} />}
      </div>
      {standard && <StandardLegend standard={standard} measurement={measurement} />}
      {record && <p class="forecast-record">{record}</p>}
    </figure>
  );
}

interface CaptionProps {
  readonly device: Device;
  readonly measurement: Measurement;
  readonly hovered: Hovered | null;
  readonly prediction: Prediction | null;
  readonly standard: Standard | null;
  readonly menu: JSX.Element;
}

/** The newest value, or the value under the pointer: as measured, or as forecast for that hour; and what is marked there. */
function Caption({ device, measurement, hovered: under, prediction, standard, menu }: CaptionProps): JSX.Element {
  const hovered = under?.point ?? null;
  const store = useStore();
  useDevice(device);
  const entry = device.entries.get(measurement.name);
  const text = (value: number): string => valueText(typeof entry?.value === "boolean" ? value > 0 : value, measurement.name);
  const unit = measurement.unit && <span class="unit"> {unitText(measurement.name, measurement.unit)}</span>;
  const hour = hovered?.isForecast && prediction ? hourAt(prediction, hovered.at) : null;
  const shown = hour ? { at: hour.at, mean: hour.mean, min: hour.low, max: hour.high } : hovered;
  const hasBand = shown !== null && shown.min !== shown.max;
  const level = shown && standard ? classText(standard, shown.mean) : null;
  const marked = under?.annotations.map(annotationText).join(" · ");
  return (
    <figcaption>
      <h3>{fieldLabel(measurement)}</h3>
      {(shown || marked) && (
        <p class="hovered">
          {shown && <time>{hour ? t("forecast.hovered", hourTimes(hour.at)) : formats.value.moment(shown.at, store.now.peek())}</time>}
          {hasBand && <span class="band">{text(shown.min)} – {text(shown.max)}</span>}
          {level && <span>{level}</span>}
          {marked && <span class="marked">{marked}</span>}
        </p>
      )}
      {!shown && !marked && entry && device.isStale(entry) && <p class="hovered">{t("value.age", { age: ageText(store.now.peek() - entry.measuredAt) })}</p>}
      <p class="value" data-flagged={!hovered && Boolean(entry?.flag)} data-forecast={hour !== null}>
        <span class="figure">{shown ? text(shown.mean) : valueText(entry?.value ?? null, measurement.name)}</span>
        {unit}
      </p>
      {menu}
    </figcaption>
  );
}

interface PlotProps extends ChartFigureProps {
  readonly standard: Standard | null;
  readonly chart: RefObject<Chart | null>;
  readonly onHover: (hovered: Hovered | null) => void;
}

function Plot({ device, history, alarms, forecasts, annotations, standard, measurement, gestures, chart, onHover }: PlotProps): JSX.Element {
  const store = useStore();
  const root = useRef<HTMLDivElement>(null);
  const dark = isDark.value;
  const isFlag = typeof device.entries.get(measurement.name)?.value === "boolean";
  const span = history.span.value;
  const { value: data } = useComputed(() => {
    history.version.value;
    return history.history.value.columns(measurement.name, device.intervalMs);
  });

  const { name, unit } = measurement;
  const conversion = useMemo(() => shownAs(name, unit), [shownAs(name, unit).unit]);
  useEffect(() => {
    if (!root.current) return undefined;
    const element = root.current;
    const created = new Chart(element, { name, isFlag, conversion }, gestures, onHover);
    chart.current = created;
    const observer = new ResizeObserver(() => created.setSize(element.clientWidth, element.clientHeight));
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      chart.current = null;
    };
  }, [dark, isFlag, conversion]);
  const limits = useMemo(() => limitsOf(alarms.rules.value, device, name), [alarms.rules.value, device.record, name]);
  const spans = useMemo(() => alarmSpans(alarms.alarms.value, name, span), [alarms.alarms.value, name, span]);
  const marked = annotations.annotations.value;
  const own = useMemo(() => annotationsFor(marked, name), [marked, name]);
  useEffect(() => chart.current?.setMarks(standard, limits, spans, own), [standard, limits, spans, own, dark, isFlag, conversion]);
  const prediction = forecasts.drawn(name);
  const now = prediction ? store.minute.value : 0;
  const ahead = prediction ? forecasts.ahead.value : 0;
  const fan = useMemo(() => (prediction ? fanOf(prediction, now) : NO_FAN), [prediction, now]);
  useEffect(() => chart.current?.setData(data, fan), [data, fan, dark, isFlag, conversion]);
  useEffect(() => chart.current?.setSpan(span, ahead), [span, ahead, data, fan, dark, isFlag, conversion]);

  const values = data.mean.filter((value) => value !== null);
  const label = t("chart.label", { label: fieldLabel(measurement) });
  const summary =
    values.length === 0
      ? t("chart.empty")
      : t("chart.summary", {
          label,
          low: quantityText(lowest(data.min), name, unit),
          high: quantityText(highest(data.max), name, unit),
          value: quantityText(values.at(-1) ?? null, name, unit),
        });
  const shown = values.length === 0 ? [] : nearLimits(limits, lowest(data.min), highest(data.max));
  const level = values.length > 0 && standard ? classText(standard, values.at(-1) ?? 0) : null;
  const limitTexts = [...new Set(shown.map(({ at }) => t("alarms.limit", { value: boundText(at, name, unit) })))];
  return (
    <>
      <div class="canvas" ref={root} role="img" aria-label={[summary, ...(level ? [level] : []), ...limitTexts, ...(prediction ? [summaryText(prediction, now)] : [])].join(", ")} />
      {prediction && (
        <ul class="visually-hidden" aria-label={t("forecast.list", { label: fieldLabel(measurement) })}>
          {hoursAhead(prediction, now).map((hour) => <li key={hour.at}>{hourText(hour, prediction)}</li>)}
        </ul>
      )}
      {values.length === 0 && history.loadState.value.state === "idle" && <p class="empty">{t("chart.empty")}</p>}
    </>
  );
}

interface DeviceChartMenuProps extends ChartFigureProps {
  readonly chart: RefObject<Chart | null>;
  readonly standard: Standard | null;
}

function DeviceChartMenu({ device, history, measurement, chart }: DeviceChartMenuProps): JSX.Element {
  const { name, unit } = measurement;
  const label = fieldLabel(measurement);
  const saveCsv = (): void => {
    const columns = history.history.peek().columns(name, device.intervalMs);
    const span = history.span.peek();
    const series = { device: device.id, name: device.record?.name ?? "", room: device.record?.room ?? "", columns };
    downloadCsv(csvText(name, shownAs(name, unit), [series], span), fileName(device.name, name, span, "csv"));
  };
  const savePicture = async (): Promise<void> => {
    const root = chart.current?.root;
    if (!chart.current || !root) return;
    const { from, to } = history.span.peek();
    const title = `${device.name} · ${label}${unit ? ` (${unitText(name, unit)})` : ""}`;
    const legend = [{ label: t("chart.legend", { step: formats.value.duration(history.history.peek().step) }), colour: coloursOf(root, ["--accent"])[0] ?? "", dash: [] }];
    const picture = await chartPicture(root, chart.current.canvas, title, `${formats.value.full(from)} – ${formats.value.full(to)}`, legend);
    if (picture) download(picture, fileName(device.name, name, { from, to }, "png"));
  };
  return (
    <ChartMenu label={label}>
      <a href={hrefOf({ page: "compare" }, { measurement: name, with: device.id })}>{t("chart.menu.compare")}</a>
      <a href={hrefOf({ page: "measurement", name })}>{t("chart.menu.everywhere")}</a>
      <button type="button" onClick={saveCsv}>{t("chart.menu.csv")}</button>
      <button type="button" onClick={() => void savePicture()}>{t("chart.menu.png")}</button>
    </ChartMenu>
  );
}

function lowest(values: readonly (number | null)[]): number {
  return values.reduce<number>((low, value) => (value === null ? low : Math.min(low, value)), Number.POSITIVE_INFINITY);
}

function highest(values: readonly (number | null)[]): number {
  return values.reduce<number>((high, value) => (value === null ? high : Math.max(high, value)), Number.NEGATIVE_INFINITY);
}
