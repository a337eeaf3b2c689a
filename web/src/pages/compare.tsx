import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

import type { Shift } from "../app/comparison";
import { Comparison, SHIFTS } from "../app/comparison";
import { useApp, useStore } from "../app/context";
import { useViewState, viewSignal } from "../app/view-state";
import { ComparisonFigure } from "../components/charts/comparison-figure";
import { RangePicker } from "../components/charts/range-picker";
import { ageText, fieldLabel, t, unitText, valueText } from "../i18n";
import type { RankedDevice } from "../model/devices/ranking";
import { MAX_SERIES, roomKey, seriesOf } from "../model/history/series";
import { hrefOf } from "../model/route";
import { listParam, textParam } from "../model/view-param";
import type { Measurement } from "../model/wire";
import "../style/device.css";
import "../style/compare.css";

const MEASUREMENT = textParam("measurement", { maxLength: 64 });
const COMPARED = listParam("with", MAX_SERIES);
/** Which devices the page of a measurement draws; the first ones if none is chosen. Not remembered: it is another for each measurement. */
const DRAWN = listParam("with", MAX_SERIES, { remember: false });
const MAX_LISTED = 500;

/** Devices and rooms on one chart. */
export function ComparePage(): JSX.Element {
  const store = useStore();
  const [chosen, setChosen] = useViewState(MEASUREMENT);
  const [keys, setKeys] = useViewState(COMPARED);
  const ranked = store.ranked.value;
  const table = store.table.value;
  const present = new Set(ranked.flatMap(({ device }) => [...device.entries.keys()]));
  const measured = table.filter(({ name }) => present.has(name));
  const measurement = table.find(({ name }) => name === chosen) ?? measured.find(({ name }) => name === "co2") ?? measured.find(({ name }) => name === "temperature") ?? measured[0];
  if (!measurement) return <p class="waiting">{t(store.loaded.value ? "compare.nothing" : "app.loading")}</p>;
  return (
    <article class="compare">
      <header>
        <h1>{t("compare.title")}</h1>
        <div class="controls">
          <label>
            <span>{t("compare.measurement")}</span>
            <select value={measurement.name} onChange={(event) => setChosen(event.currentTarget.value)}>
              {table.filter((one) => one === measurement || present.has(one.name)).map((one) => <option key={one.name} value={one.name}>{fieldLabel(one)}</option>)}
            </select>
          </label>
          <SeriesSelect measurement={measurement} keys={keys} onAdd={(key) => setKeys([...keys, key])} />
        </div>
      </header>
      <Compared key={measurement.name} measurement={measurement} keys={keys} onRemove={(key) => setKeys(keys.filter((one) => one !== key))} empty={t("compare.empty")} />
    </article>
  );
}

interface SeriesSelectProps {
  readonly measurement: Measurement;
  readonly keys: readonly string[];
  readonly onAdd: (key: string) => void;
}

/** Rooms and devices that have the measurement and are not on the chart yet. */
function SeriesSelect({ measurement, keys, onAdd }: SeriesSelectProps): JSX.Element {
  const devices = devicesWith(useStore().ranked.value, measurement.name).map(({ device }) => device);
  const rooms = [...new Set(devices.flatMap(({ record }) => record?.room ?? []))].sort((one, other) => one.localeCompare(other));
  const isFull = keys.length >= MAX_SERIES;
  return (
    <label>
      <span>{t("compare.add")}</span>
      <select value="" disabled={isFull} onChange={(event) => { if (event.currentTarget.value) onAdd(event.currentTarget.value); }}>
        <option value="">{t(isFull ? "compare.full" : "compare.choose", { count: MAX_SERIES })}</option>
        <optgroup label={t("compare.rooms")}>
          {rooms.map((room) => (keys.includes(roomKey(room)) ? null : <option key={room} value={roomKey(room)}>{t("compare.mean", { room })}</option>))}
        </optgroup>
        <optgroup label={t("compare.devices")}>
          {devices.slice(0, MAX_LISTED).sort((one, other) => one.name.localeCompare(other.name)).map((device) => (keys.includes(device.id) ? null : <option key={device.id} value={device.id}>{device.name}</option>))}
        </optgroup>
      </select>
    </label>
  );
}

interface ComparedProps {
  readonly measurement: Measurement;
  readonly keys: readonly string[];
  readonly onRemove: (key: string) => void;
  readonly empty: string;
}

/** The chart of the chosen series, with its range and shift. */
function Compared({ measurement, keys, onRemove, empty }: ComparedProps): JSX.Element {
  const app = useApp();
  const { store } = app;
  const chosen = useSignal(keys);
  chosen.value = keys;
  const series = useComputed(() => {
    store.ranked.value; // changes when devices are added
    store.loaded.value;
    return seriesOf(chosen.value, store.fleet.devices, measurement.name);
  });
  const comparison = useMemo(() => new Comparison(app, measurement.name, series), [measurement.name]);
  useEffect(() => () => comparison.close(), [comparison]);
  return (
    <section aria-label={t("chart.region")}>
      <div class="comparison-controls">
        <RangePicker ranged={comparison} />
        <div class="choices" role="group" aria-label={t("compare.shift")}>
          {(Object.keys(SHIFTS) as Shift[]).map((shift) => (
            <button type="button" key={shift} aria-pressed={comparison.shift.value === shift} onClick={() => (comparison.shift.value = shift)}>{t(`compare.shift.${shift}`)}</button>
          ))}
        </div>
      </div>
      {series.value.length === 0 ? <p class="waiting">{empty}</p> : <ComparisonFigure comparison={comparison} series={series} measurement={measurement} onRemove={onRemove} />}
      <p class="muted small help mouse">{t("chart.help")}</p>
      <p class="muted small help touch">{t("chart.help.touch")}</p>
    </section>
  );
}

/** One measurement at all devices: the worst ones on a chart, all with their newest values beside it. */
export function MeasurementPage({ name }: { name: string }): JSX.Element {
  const store = useStore();
  const drawn = viewSignal(DRAWN);
  const measurement = store.table.value.find((one) => one.name === name);
  const ranked = store.ranked.value;
  const minute = store.minute.value;
  const devices = useMemo(() => devicesWith(ranked, name), [name, ranked.length, minute]); // or the rows would jump with every value
  const first = useRef<readonly string[]>([]);
  if (first.current.length === 0) first.current = devices.slice(0, MAX_SERIES).map(({ device }) => device.id);
  if (!measurement || devices.length === 0) {
    return (
      <div class="waiting">
        <h1>{measurement ? fieldLabel(measurement) : name}</h1>
        <p>{t(store.loaded.value ? "measurement.none" : "app.loading")}</p>
        <p><a href="#/">{t("app.back")}</a></p>
      </div>
    );
  }
  const keys = drawn.value.length > 0 ? drawn.value : first.current;
  const toggle = (id: string): void => drawn.set(keys.includes(id) ? keys.filter((one) => one !== id) : [...keys, id].slice(0, MAX_SERIES));
  return (
    <article class="compare measurement">
      <header>
        <h1>{fieldLabel(measurement)}</h1>
        <p class="muted">{t("measurement.intro", { shown: Math.min(keys.length, devices.length), count: devices.length })}</p>
      </header>
      <div class="measurement-columns">
        <Compared key={name} measurement={measurement} keys={keys} onRemove={toggle} empty={t("compare.empty")} />
        <LatestList measurement={measurement} devices={devices} keys={keys} onToggle={toggle} />
      </div>
    </article>
  );
}

/** Worst first, as on the overview; within a rank by value, the highest first. */
function devicesWith(ranked: readonly RankedDevice[], name: string): readonly RankedDevice[] {
  const value = ({ device }: RankedDevice): number => Number(device.entries.get(name)?.value ?? Number.NEGATIVE_INFINITY);
  return ranked.filter(({ device }) => device.entries.has(name)).sort((one, other) => other.score - one.score || value(other) - value(one));
}

interface LatestListProps {
  readonly measurement: Measurement;
  readonly devices: readonly RankedDevice[];
  readonly keys: readonly string[];
  readonly onToggle: (id: string) => void;
}

function LatestList({ measurement, devices, keys, onToggle }: LatestListProps): JSX.Element {
  return (
    <section class="panel latest" aria-labelledby="latest-title">
      <h2 id="latest-title">{t("measurement.latest")}</h2>
      <ul>
        {devices.slice(0, MAX_LISTED).map((ranked) => (
          <LatestItem key={ranked.device.id} ranked={ranked} measurement={measurement} isDrawn={keys.includes(ranked.device.id)} isFull={keys.length >= MAX_SERIES} onToggle={onToggle} />
        ))}
      </ul>
      {devices.length > MAX_LISTED && <p class="muted small">{t("measurement.more", { count: devices.length - MAX_LISTED })}</p>}
    </section>
  );
}

interface LatestItemProps {
  readonly ranked: RankedDevice;
  readonly measurement: Measurement;
  readonly isDrawn: boolean;
  readonly isFull: boolean;
  readonly onToggle: (id: string) => void;
}

function LatestItem({ ranked: { device }, measurement: { name, unit }, isDrawn, isFull, onToggle }: LatestItemProps): JSX.Element {
  const store = useStore();
  store.deviceVersion(device.id).value;
  const entry = device.entries.get(name);
  const isOld = entry !== undefined && device.isStale(entry);
  const severity = isOld ? "none" : store.judgements(device).get(name)?.severity ?? "none";
  return (
    <li data-severity={severity}>
      <input type="checkbox" checked={isDrawn} disabled={!isDrawn && isFull} aria-label={t("measurement.draw", { name: device.name })} onChange={() => onToggle(device.id)} />
      <div>
        <a href={hrefOf({ page: "device", id: device.id })}>{device.name}</a>
        {device.record?.room && <span class="muted small">{device.record.room}</span>}
      </div>
      <p class="value">
        <span class="figure">{valueText(entry?.value ?? null, name)}</span>{unit && <span class="unit"> {unitText(name, unit)}</span>}
        {isOld && <span class="age small muted">{ageText(store.now.peek() - entry.measuredAt)}</span>}
      </p>
    </li>
  );
}
