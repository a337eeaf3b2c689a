import type { JSX } from "preact";

import { useDevice, useStore, useTrend } from "../../app/context";
import { ageText, fieldLabel, t, unitText, valueText } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { issuesOf } from "../../model/devices/issues";
import type { PrimaryValue } from "../../model/devices/primary-values";
import { MAX_PRIMARY_VALUES, batteryPercent, primaryValues } from "../../model/devices/primary-values";
import type { RankedDevice } from "../../model/devices/ranking";
import { direction } from "../../model/history/trend";
import { hrefOf } from "../../model/route";
import { Age } from "../age";
import { Sparkline, useTrendPoints } from "../charts/sparkline";
import { Icon } from "../icon";
import { useVisible } from "../use-visible";
import { IssueList } from "./issue-list";
import { LevelBadge } from "./level";
import { PresenceBadge } from "./presence";
import { ReportedStatus } from "./reported-status";
import { Tip } from "./tip";

/** A device on the overview. Off screen it contains only the name, which in-page search and screen readers need. */
export function Card({ ranked }: { ranked: RankedDevice }): JSX.Element {
  const { device, severity } = ranked;
  const [root, isVisible] = useVisible<HTMLLIElement>();
  const rows = Math.ceil(primaryValues(device, useStore().table.value).length / 2);
  return (
    <li class="card" ref={root} style={{ "--rows": rows }} data-severity={severity} data-presence={device.presence}>
      <h3><a href={hrefOf({ page: "device", id: device.id })}>{device.name}</a></h3>
      {isVisible && <CardBody device={device} />}
    </li>
  );
}

function CardBody({ device }: { device: Device }): JSX.Element {
  const store = useStore();
  useDevice(device);
  const table = store.table.value;
  useTrend(device);
  const shown = primaryValues(device, table);
  const parts = shown.length === 0 ? store.fleet.countParts(device.id) : 0;
  const battery = batteryPercent(device, shown);
  const hidden = device.entries.size - shown.length - (battery === null ? 0 : 1);
  const issues = issuesOf(device);
  const { worst } = store.assessment(device);
  return (
    <>
      <p class="state">
        <PresenceBadge device={device} />
        <ReportedStatus device={device} />
        {device.measuredAt !== null && <Age at={device.measuredAt} />}
        {battery !== null && <Battery percent={battery} />}
      </p>
      <Tip device={device} />
      {shown.length === 0 && <p class="no-reading">{parts > 0 ? t("device.parts", { count: parts }) : t("device.noReading")}</p>}
      <dl class="values">
        {shown.map((primaryValue) => <CardValue key={primaryValue.measurement.name} device={device} primaryValue={primaryValue} />)}
      </dl>
      <footer>
        <div class="messages">
          <IssueList issues={issues} table={table} now={store.now.peek()} limit={2} />
          {worst && (worst.level > 0 || issues.length === 0) && <LevelBadge assessment={worst} />}
        </div>
        {hidden > 0 && shown.length === MAX_PRIMARY_VALUES && <span class="more">{t("device.more", { count: hidden })}</span>}
      </footer>
    </>
  );
}

function Battery({ percent }: { percent: number }): JSX.Element {
  const measurement = useStore().table.value.find(({ name }) => name === "battery");
  const label = measurement ? fieldLabel(measurement) : "";
  return (
    <span class="battery" title={label}>
      <Icon name="battery" />
      <span class="visually-hidden">{label} </span>
      {valueText(percent, "battery")} %
    </span>
  );
}

function CardValue({ device, primaryValue }: { device: Device; primaryValue: PrimaryValue }): JSX.Element {
  const store = useStore();
  const { measurement, entry } = primaryValue;
  const isStale = device.isStale(entry);
  const points = useTrendPoints(store.trends.of(device.id, measurement.name), store.bridgeNow());
  const trend = direction(measurement.name, points);
  return (
    <div class="value" data-flagged={entry.flag !== "" && !isStale}>
      <dt><a class="field-link" tabIndex={-1} href={hrefOf({ page: "measurement", name: measurement.name })}>{fieldLabel(measurement)}</a></dt>
      <dd>
        <span class="figure">{valueText(entry.value, measurement.name)}</span>
        {entry.value !== null && measurement.unit && <span class="unit"> {unitText(measurement.name, measurement.unit)}</span>}
        {trend && <span class="visually-hidden">, {t(`device.trend.${trend}`)}</span>}
        {isStale && <span class="age"> {t("value.age", { age: ageText(store.now.peek() - entry.measuredAt) })}</span>}
      </dd>
      <Sparkline field={measurement.name} points={points} />
    </div>
  );
}
