import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { useDevice, useStore } from "../../app/context";
import type { DeviceAlarms } from "../../app/device-alarms";
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
import { fixed, pan, zoom } from "../../model/history/time-range";
import type { Measurement } from "../../model/wire";
import { isDark } from "../theme";
import { useVisible } from "../use-visible";
import type { ChartGestures, HoveredPoint } from "./chart";
import { Chart } from "./chart";

interface ChartsProps {
  readonly device: Device;
  readonly history: DeviceHistory;
  readonly alarms: DeviceAlarms;
  readonly forecasts: DeviceForecasts;
}

/** A chart for every measurement that the device has, or had in the selected range. */
export function Charts({ device, history, alarms, forecasts }: ChartsProps): JSX.Element {
  const store = useStore();
  const gestures: ChartGestures = {
    zoomTo: (span) => (history.range.value = fixed(span, store.bridgeNow())),
    zoomBy: (factor, around) => (history.range.value = zoom(history.range.peek(), factor, store.bridgeNow(), around)),
    panBy: (fraction) => (history.range.value = pan(history.range.peek(), fraction, store.bridgeNow())),
    toLive: () => {
      const { from, to } = history.span.peek();
      history.range.value = { live: true, length: to - from };
    },
  };
  const fields = useComputed(() => {
    store.deviceVersion(device.id).value;
    history.version.value;
    const present = new Set([...history.history.value.fields, ...device.entries.keys()]);
    return store.table.value.filter(({ name }) => present.has(name));
  });
  return (
    <div class="charts">
      {fields.value.map((measurement) => (
        <ChartFigure key={measurement.name} device={device} history={history} alarms={alarms} forecasts={forecasts} measurement={measurement} gestures={gestures} />
      ))}
    </div>
  );
}

interface ChartFigureProps extends ChartsProps {
  readonly measurement: Measurement;
  readonly gestures: ChartGestures;
}

function ChartFigure(props: ChartFigureProps): JSX.Element {
  const { device, forecasts, measurement } = props;
  const [root, isVisible] = useVisible<HTMLElement>();
  const hovered = useSignal<HoveredPoint | null>(null);
  const noted = forecasts.noted(measurement.name);
  const record = noted && recordText(noted);
  return (
    <figure class="chart" ref={root}>
      <Caption device={device} measurement={measurement} hovered={hovered.value} prediction={noted} />
      <div class="plot">
        {isVisible && <Plot {...props} onHover={(one) => (hovered.value = one)} />}
      </div>
      {record && <p class="forecast-record">{record}</p>}
    </figure>
  );
}

interface CaptionProps {
  readonly device: Device;
  readonly measurement: Measurement;
  readonly hovered: HoveredPoint | null;
  readonly prediction: Prediction | null;
}

/** The newest value, or the value under the pointer: as measured, or as forecast for that hour. */
function Caption({ device, measurement, hovered, prediction }: CaptionProps): JSX.Element {
  const store = useStore();
  useDevice(device);
  const entry = device.entries.get(measurement.name);
  const text = (value: number): string => valueText(typeof entry?.value === "boolean" ? value > 0 : value, measurement.name);
  const unit = measurement.unit && <span class="unit"> {unitText(measurement.name, measurement.unit)}</span>;
  const hour = hovered?.isForecast && prediction ? hourAt(prediction, hovered.at) : null;
  const shown = hour ? { at: hour.at, mean: hour.mean, min: hour.low, max: hour.high } : hovered;
  const hasBand = shown !== null && shown.min !== shown.max;
  return (
    <figcaption>
      <h3>{fieldLabel(measurement)}</h3>
      {shown && (
        <p class="hovered">
          {hasBand && <span>{text(shown.min)} – {text(shown.max)}</span>}{" "}
          <time>{hour ? t("forecast.hovered", hourTimes(hour.at)) : formats.value.moment(shown.at, store.now.peek())}</time>
        </p>
      )}
      {!hovered && entry && device.isStale(entry) && <p class="hovered">{t("value.age", { age: ageText(store.now.peek() - entry.measuredAt) })}</p>}
      <p class="value" data-flagged={!hovered && Boolean(entry?.flag)} data-forecast={hour !== null}>
        <span class="figure">{shown ? text(shown.mean) : valueText(entry?.value ?? null, measurement.name)}</span>
        {unit}
      </p>
    </figcaption>
  );
}

interface PlotProps extends ChartFigureProps {
  readonly onHover: (hovered: HoveredPoint | null) => void;
}

function Plot({ device, history, alarms, forecasts, measurement, gestures, onHover }: PlotProps): JSX.Element {
  const store = useStore();
  const root = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
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
    const created = new Chart(element, measurement, isFlag, conversion, gestures, onHover);
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
  useEffect(() => chart.current?.setAlarms(limits, spans), [limits, spans, dark, isFlag, conversion]);
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
  const limitTexts = [...new Set(shown.map(({ at }) => t("alarms.limit", { value: boundText(at, name, unit) })))];
  return (
    <>
      <div class="canvas" ref={root} role="img" aria-label={[summary, ...limitTexts, ...(prediction ? [summaryText(prediction, now)] : [])].join(", ")} />
      {prediction && (
        <ul class="visually-hidden" aria-label={t("forecast.list", { label: fieldLabel(measurement) })}>
          {hoursAhead(prediction, now).map((hour) => <li key={hour.at}>{hourText(hour, prediction)}</li>)}
        </ul>
      )}
      {values.length === 0 && history.loadState.value.state === "idle" && <p class="empty">{t("chart.empty")}</p>}
    </>
  );
}

function lowest(values: readonly (number | null)[]): number {
  return values.reduce<number>((low, value) => (value === null ? low : Math.min(low, value)), Number.POSITIVE_INFINITY);
}

function highest(values: readonly (number | null)[]): number {
  return values.reduce<number>((high, value) => (value === null ? high : Math.max(high, value)), Number.NEGATIVE_INFINITY);
}
