import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { useDevice, useStore } from "../../app/context";
import type { DeviceAlarms } from "../../app/device-alarms";
import type { DeviceHistory } from "../../app/device-history";
import { ageText, fieldLabel, formats, t, valueText } from "../../i18n";
import { figureText } from "../../i18n/alarm-text";
import { limitsOf, nearLimits } from "../../model/alarms/rules";
import { alarmSpans } from "../../model/alarms/spans";
import type { Device } from "../../model/devices/device";
import { fixed, pan, zoom } from "../../model/history/time-range";
import type { Measurement } from "../../model/wire";
import { isDark } from "../theme";
import { useVisible } from "../use-visible";
import type { ChartGestures, HoveredPoint } from "./chart";
import { Chart } from "./chart";

/** A chart for every measurement that the device has, or had in the selected range. */
export function Charts({ device, history, alarms }: { device: Device; history: DeviceHistory; alarms: DeviceAlarms }): JSX.Element {
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
        <ChartFigure key={measurement.name} device={device} history={history} alarms={alarms} measurement={measurement} gestures={gestures} />
      ))}
    </div>
  );
}

interface ChartFigureProps {
  readonly device: Device;
  readonly history: DeviceHistory;
  readonly alarms: DeviceAlarms;
  readonly measurement: Measurement;
  readonly gestures: ChartGestures;
}

function ChartFigure({ device, history, alarms, measurement, gestures }: ChartFigureProps): JSX.Element {
  const [root, isVisible] = useVisible<HTMLElement>();
  const hovered = useSignal<HoveredPoint | null>(null);
  return (
    <figure class="chart" ref={root}>
      <Caption device={device} measurement={measurement} hovered={hovered.value} />
      <div class="plot">
        {isVisible && <Plot device={device} history={history} alarms={alarms} measurement={measurement} gestures={gestures} onHover={(one) => (hovered.value = one)} />}
      </div>
    </figure>
  );
}

/** The newest value, or the value under the pointer. */
function Caption({ device, measurement, hovered }: { device: Device; measurement: Measurement; hovered: HoveredPoint | null }): JSX.Element {
  const store = useStore();
  useDevice(device);
  const entry = device.entries.get(measurement.name);
  const text = (value: number): string => valueText(typeof entry?.value === "boolean" ? value > 0 : value, measurement.name);
  const unit = measurement.unit && <span class="unit"> {measurement.unit}</span>;
  const hasBand = hovered !== null && hovered.min !== hovered.max;
  return (
    <figcaption>
      <h3>{fieldLabel(measurement)}</h3>
      {hovered && (
        <p class="hovered">
          {hasBand && <span>{text(hovered.min)} – {text(hovered.max)}</span>} <time>{formats.value.moment(hovered.at, store.now.peek())}</time>
        </p>
      )}
      {!hovered && entry && device.isStale(entry) && <p class="hovered">{t("value.age", { age: ageText(store.now.peek() - entry.measuredAt) })}</p>}
      <p class="value" data-flagged={!hovered && Boolean(entry?.flag)}>
        <span class="figure">{hovered ? text(hovered.mean) : valueText(entry?.value ?? null, measurement.name)}</span>
        {unit}
      </p>
    </figcaption>
  );
}

interface PlotProps extends ChartFigureProps {
  readonly onHover: (hovered: HoveredPoint | null) => void;
}

function Plot({ device, history, alarms, measurement, gestures, onHover }: PlotProps): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const dark = isDark.value;
  const isFlag = typeof device.entries.get(measurement.name)?.value === "boolean";
  const span = history.span.value;
  const { value: data } = useComputed(() => {
    history.version.value;
    return history.history.value.columns(measurement.name, device.intervalMs);
  });

  useEffect(() => {
    if (!root.current) return undefined;
    const element = root.current;
    const created = new Chart(element, measurement, isFlag, gestures, onHover);
    chart.current = created;
    const observer = new ResizeObserver(() => created.setSize(element.clientWidth, element.clientHeight));
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      chart.current = null;
    };
  }, [dark, isFlag]);
  const { name } = measurement;
  const limits = useMemo(() => limitsOf(alarms.rules.value, device, name), [alarms.rules.value, device.record, name]);
  const spans = useMemo(() => alarmSpans(alarms.alarms.value, name, span), [alarms.alarms.value, name, span]);
  useEffect(() => chart.current?.setAlarms(limits, spans), [limits, spans, dark, isFlag]);
  useEffect(() => chart.current?.setData(data), [data, dark, isFlag]);
  useEffect(() => chart.current?.setSpan(span), [span, data, dark, isFlag]);

  const values = data.mean.filter((value) => value !== null);
  const label = t("chart.label", { label: fieldLabel(measurement) });
  const summary =
    values.length === 0
      ? t("chart.empty")
      : t("chart.summary", {
          label,
          low: `${valueText(lowest(data.min), measurement.name)} ${measurement.unit}`,
          high: `${valueText(highest(data.max), measurement.name)} ${measurement.unit}`,
          value: `${valueText(values.at(-1) ?? null, measurement.name)} ${measurement.unit}`,
        });
  const shown = values.length === 0 ? [] : nearLimits(limits, lowest(data.min), highest(data.max));
  const limitTexts = [...new Set(shown.map(({ at }) => t("alarms.limit", { value: figureText(at, measurement.unit) })))];
  return (
    <>
      <div class="canvas" ref={root} role="img" aria-label={[summary, ...limitTexts].join(", ")} />
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
