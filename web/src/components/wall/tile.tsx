import type { JSX } from "preact";

import { useDevice, useStore, useTrend } from "../../app/context";
import { ageText, fieldLabel, t, valueText } from "../../i18n";
import type { CompleteAssessment } from "../../model/devices/assessment";
import type { Device } from "../../model/devices/device";
import { severityOfOrder } from "../../model/devices/device-assessment";
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
  return valueText(entry.value, measurement.name).length + UNIT_SIZE * (measurement.unit?.length ?? 0) + ARROW_DIGITS;
}

/** A device in wall mode. */
export function Tile({ ranked: { device, severity }, limit }: TileProps): JSX.Element {
  const store = useStore();
  useDevice(device);
  useTrend(device);
  const issues = issuesOf(device);
  const { worst } = store.assessment(device);
  const shown = worstFirst(primaryValues(device, store.table.value, Number.POSITIVE_INFINITY), worst).slice(0, limit);
  return (
    <li class="wall-tile" data-severity={severity} data-presence={device.presence}>
      <header>
        <h2>{device.name}</h2>
        <p class="state">
          {device.presence === "offline" && <PresenceBadge device={device} />}
          {device.measuredAt !== null && <Age at={device.measuredAt} />}
        </p>
      </header>
      <dl data-count={shown.length} style={{ "--length": Math.max(...shown.map(lengthOf), 0) }}>
        {shown.map((value) => (
          <TileValue key={value.measurement.name} device={device} primaryValue={value} severity={worst?.field === value.measurement.name ? severityOfOrder(worst.order) : "none"} />
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

/** With the value that is judged worst in front, unless it needs no attention. */
function worstFirst(values: readonly PrimaryValue[], worst: CompleteAssessment | null): PrimaryValue[] {
  const name = worst !== null && severityOfOrder(worst.order) !== "none" ? worst.field : null;
  return [...values].sort((a, b) => Number(b.measurement.name === name) - Number(a.measurement.name === name));
}

interface TileValueProps {
  readonly device: Device;
  readonly primaryValue: PrimaryValue;
  readonly severity: string;
}

function TileValue({ device, primaryValue: { measurement, entry }, severity }: TileValueProps): JSX.Element {
  const store = useStore();
  const points = useTrendPoints(store.trends.of(device.id, measurement.name), store.bridgeNow());
  const trend = direction(measurement.name, points);
  const isStale = device.isStale(entry);
  const unit = entry.value === null ? "" : measurement.unit;
  return (
    <div data-severity={severity} data-old={isStale || device.presence === "offline"}>
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
