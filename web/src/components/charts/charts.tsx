import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { ageText, fieldLabel, formats, t, valueText } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { pan, show, zoom } from "../../model/history/time-range";
import type { Measurement } from "../../model/wire";
import type { DeviceHistory } from "../../app/device-history";
import type { Gestures, Pointed } from "./chart";
import { Chart } from "./chart";
import { useApp, useDevice } from "../../app/context";
import { useSeen } from "../use-visible";
import { isDark } from "../theme";

/** A chart for every measurement that the device has, or had in this time. */
export function Charts({ device, history }: { device: Device; history: DeviceHistory }): JSX.Element {
  const app = useApp();
  const gestures: Gestures = {
    zoomTo: (span) => (history.range.value = show(span, app.bridgeNow())),
    zoomBy: (factor, around) => (history.range.value = zoom(history.range.peek(), factor, app.bridgeNow(), around)),
    panBy: (part) => (history.range.value = pan(history.range.peek(), part, app.bridgeNow())),
    toLive: () => {
      const { from, to } = history.span.peek();
      history.range.value = { live: true, length: to - from };
    },
  };
  const fields = useComputed(() => {
    app.version(device.id).value;
    history.version.value;
    const there = new Set([...history.history.value.fields, ...device.entries.keys()]);
    return app.table.value.filter(({ name }) => there.has(name));
  });
  return (
    <div class="charts">
      {fields.value.map((measurement) => (
        <ChartFigure key={measurement.name} device={device} history={history} measurement={measurement} gestures={gestures} />
      ))}
    </div>
  );
}

interface ChartFigureProps {
  readonly device: Device;
  readonly history: DeviceHistory;
  readonly measurement: Measurement;
  readonly gestures: Gestures;
}

function ChartFigure({ device, history, measurement, gestures }: ChartFigureProps): JSX.Element {
  const [root, isSeen] = useSeen<HTMLElement>();
  const pointed = useSignal<Pointed | null>(null);
  return (
    <figure class="chart" ref={root}>
      <Caption device={device} measurement={measurement} pointed={pointed.value} />
      <div class="plot">
        {isSeen && <Plot device={device} history={history} measurement={measurement} gestures={gestures} onPoint={(one) => (pointed.value = one)} />}
      </div>
    </figure>
  );
}

/** The newest value; while someone points at a moment, the value there. */
function Caption({ device, measurement, pointed }: { device: Device; measurement: Measurement; pointed: Pointed | null }): JSX.Element {
  const app = useApp();
  useDevice(device);
  const entry = device.entries.get(measurement.name);
  const text = (value: number): string => valueText(typeof entry?.value === "boolean" ? value > 0 : value, measurement.name);
  const unit = measurement.unit && <span class="unit"> {measurement.unit}</span>;
  const hasBand = pointed !== null && pointed.min !== pointed.max;
  return (
    <figcaption>
      <h3>{fieldLabel(measurement)}</h3>
      {pointed && (
        <p class="pointed">
          {hasBand && <span>{text(pointed.min)} – {text(pointed.max)}</span>} <time>{formats.value.moment(pointed.at, app.now.peek())}</time>
        </p>
      )}
      {!pointed && entry && device.isLagging(entry) && <p class="pointed">{t("value.aged", { age: ageText(app.now.peek() - entry.measuredAt) })}</p>}
      <p class="value" data-flagged={!pointed && Boolean(entry?.flag)}>
        <span class="figure">{pointed ? text(pointed.mean) : valueText(entry?.value ?? null, measurement.name)}</span>
        {unit}
      </p>
    </figcaption>
  );
}

interface PlotProps extends ChartFigureProps {
  readonly onPoint: (pointed: Pointed | null) => void;
}

function Plot({ device, history, measurement, gestures, onPoint }: PlotProps): JSX.Element {
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
    const made = new Chart(element, measurement, isFlag, gestures, onPoint);
    chart.current = made;
    const resizing = new ResizeObserver(() => made.setSize(element.clientWidth, element.clientHeight));
    resizing.observe(element);
    return () => {
      resizing.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [dark, isFlag]);
  useEffect(() => chart.current?.setData(data), [data, dark, isFlag]);
  useEffect(() => chart.current?.setSpan(span), [span, data, dark, isFlag]);

  const known = data.mean.filter((value) => value !== null);
  const label = t("chart.label", { label: fieldLabel(measurement) });
  const summary =
    known.length === 0
      ? t("chart.empty")
      : t("chart.summary", {
          label,
          low: `${valueText(lowest(data.min), measurement.name)} ${measurement.unit}`,
          high: `${valueText(highest(data.max), measurement.name)} ${measurement.unit}`,
          value: `${valueText(known.at(-1) ?? null, measurement.name)} ${measurement.unit}`,
        });
  return (
    <>
      <div class="canvas" ref={root} role="img" aria-label={summary} />
      {known.length === 0 && history.loading.value.state === "idle" && <p class="none">{t("chart.empty")}</p>}
    </>
  );
}

function lowest(values: readonly (number | null)[]): number {
  return values.reduce<number>((low, value) => (value === null ? low : Math.min(low, value)), Number.POSITIVE_INFINITY);
}

function highest(values: readonly (number | null)[]): number {
  return values.reduce<number>((high, value) => (value === null ? high : Math.max(high, value)), Number.NEGATIVE_INFINITY);
}
