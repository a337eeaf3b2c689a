import type { JSX } from "preact";

import { useDevice, useStore, useTrend } from "../../app/context";
import { ageText, fieldLabel, t, unitText, valueText } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { issuesOf } from "../../model/devices/issues";
import type { PrimaryValue } from "../../model/devices/primary-values";
import { primaryValues } from "../../model/devices/primary-values";
import type { RankedDevice } from "../../model/devices/ranking";
import { direction } from "../../model/history/trend";
import { Age } from "../age";
import { useTrendPoints } from "../charts/sparkline";
import { IssueList } from "../device/issue-list";
import { LevelBadge } from "../device/level";
import { PresenceBadge } from "../device/presence";

const ARROWS = { rising: "↗", falling: "↘", steady: "" } as const;

/** Beside a figure of 1. */
const UNIT_SIZE = 0.6;
const ARROW_DIGITS = 1.7;

interface TileProps {
  readonly ranked: RankedDevice;
  /** How many values are shown. */
  readonly limit: number;
}

/** The width of a value with its unit and an arrow, in digits: the values of a device have one size, so that all fit. */
function lengthOf({ measurement, entry }: PrimaryValue): number {
  return valueText(entry.value, measurement.name).length + UNIT_SIZE * shownUnit(measurement).length + ARROW_DIGITS;
}

function shownUnit({ name, unit }: PrimaryValue["measurement"]): string {
  return unit ? unitText(name, unit) : "";
}

/** A device in wall mode. */
export function Tile({ ranked: { device, severity, presence }, limit }: TileProps): JSX.Element {
  const store = useStore();
  useDevice(device, true);
  useTrend(device, true);
  const shown = primaryValues(device, store.table.value, store.judgements(device), limit);
  const issues = issuesOf(device);
  const { worst } = store.assessment(device);
  return (
    <li class="wall-tile" data-severity={severity} data-presence={presence}>
      <header>
        <h2>{device.name}</h2>
        <p class="state">
          {presence !== "online" && presence !== "unknown" && <PresenceBadge device={device} />}
          {device.measuredAt !== null && <Age at={device.measuredAt} />}
        </p>
      </header>
      <dl data-count={shown.length} style={{ "--length": Math.max(...shown.map(lengthOf), 0) }}>
        {shown.map((value) => (
          <TileValue key={value.measurement.name} device={device} primaryValue={value} />
        ))}
      </dl>
      {shown.length === 0 && <p class="muted">{t("device.noReading")}</p>}
      <footer>
        <IssueList issues={issues} table={store.table.value} now={store.now.peek()} limit={1} />
        {worst && (worst.level > 0 || issues.length === 0) && <LevelBadge assessment={worst} />}
      </footer>
    </li>
  );
}

interface TileValueProps {
  readonly device: Device;
  readonly primaryValue: PrimaryValue;
}

function TileValue({ device, primaryValue: { measurement, entry, judgement } }: TileValueProps): JSX.Element {
  const store = useStore();
  const points = useTrendPoints(store.trends.of(device.id, measurement.name), store.bridgeNow());
  const trend = direction(measurement.name, points);
  const isStale = device.isStale(entry) || !device.isFreshSince(entry.measuredAt, store.bridgeNow());
  const unit = entry.value === null ? "" : shownUnit(measurement);
  return (
    <div data-severity={isStale ? "none" : judgement?.severity ?? "none"} data-old={isStale || device.isOffline}>
      <dt>{fieldLabel(measurement)}{isStale && <span class="age"> {t("value.age", { age: ageText(store.now.peek() - entry.measuredAt) })}</span>}</dt>
      <dd>
        <span class="figure">{valueText(entry.value, measurement.name)}</span>
        {unit && <span class="unit"> {unit}</span>}
        {trend && <span class="visually-hidden">, {t(`device.trend.${trend}`)}</span>}
        {trend && <span class="trend" aria-hidden="true">{ARROWS[trend]}</span>}
      </dd>
    </div>
  );
}
