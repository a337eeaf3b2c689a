import type { JSX } from "preact";

import { useDevice, useStore, useTrend } from "../../app/context";
import { ageText, fieldLabel, t, unitText, valueText } from "../../i18n";
import { levelText } from "../../i18n/assessment-text";
import type { Device } from "../../model/devices/device";
import { issuesOf } from "../../model/devices/issues";
import type { Judgement } from "../../model/devices/judgement";
import { isWorrying } from "../../model/devices/judgement";
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
import { LevelBadge, LevelIcon } from "./level";
import { PresenceBadge } from "./presence";
import { ReportedStatus } from "./reported-status";
import { Tip } from "./tip";

interface CardBodyProps {
  readonly device: Device;
  /** Off screen all of its text is there for find in page, print and screen readers, but nothing is drawn or loaded. */
  readonly isVisible: boolean;
}

/** A device on the overview. */
export function Card({ ranked }: { ranked: RankedDevice }): JSX.Element {
  const { device, severity, presence } = ranked;
  const [root, isVisible] = useVisible<HTMLLIElement>();
  const rows = Math.ceil(primaryValues(device, useStore().table.value).length / 2);
  return (
    <li class="card" ref={root} style={{ "--rows": rows }} data-severity={severity} data-presence={presence}>
      <h3><a href={hrefOf({ page: "device", id: device.id })}>{device.name}</a></h3>
      <CardBody device={device} isVisible={isVisible} />
    </li>
  );
}

function CardBody({ device, isVisible }: CardBodyProps): JSX.Element {
  const store = useStore();
  useDevice(device, isVisible);
  useTrend(device, isVisible);
  const table = store.table.value;
  const shown = primaryValues(device, table, store.judgements(device));
  const parts = shown.length === 0 ? store.fleet.countParts(device.id) : 0;
  const battery = batteryPercent(device, shown);
  const hidden = device.entries.size - shown.length - (battery === null ? 0 : 1);
  const issues = issuesOf(device);
  const { worst } = store.assessment(device);
  return (
    <>
      <p class="state">
        <PresenceBadge device={device} isVisible={isVisible} />
        <ReportedStatus device={device} isVisible={isVisible} />
        {device.measuredAt !== null && <Age at={device.measuredAt} isLive={isVisible} />}
        {battery !== null && <Battery percent={battery} />}
      </p>
      <Tip device={device} />
      {shown.length === 0 && <p class="no-reading">{parts > 0 ? t("device.parts", { count: parts }) : t("device.noReading")}</p>}
      <dl class="values">
        {shown.map((one) => <CardValue key={one.measurement.name} device={device} primaryValue={one} isVisible={isVisible} />)}
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

interface CardValueProps extends CardBodyProps {
  readonly primaryValue: PrimaryValue;
}

function CardValue({ device, primaryValue: { measurement, entry, judgement }, isVisible }: CardValueProps): JSX.Element {
  const store = useStore();
  const now = store.bridgeNow();
  const isOld = device.isStale(entry) || !device.isFreshSince(entry.measuredAt, now);
  const severity = isOld ? "none" : judgement?.severity ?? "none";
  const points = useTrendPoints(store.trends.of(device.id, measurement.name), now);
  const trend = direction(measurement.name, points);
  return (
    <div class="value" data-severity={severity} data-flagged={entry.flag !== "" && !isOld} data-old={isOld}>
      <dt><a class="field-link" tabIndex={-1} href={hrefOf({ page: "measurement", name: measurement.name })}>{fieldLabel(measurement)}</a></dt>
      <dd>
        {isWorrying(severity) && <ValueSymbol judgement={judgement} />}
        <span class="figure">{valueText(entry.value, measurement.name)}</span>
        {entry.value !== null && measurement.unit && <span class="unit"> {unitText(measurement.name, measurement.unit)}</span>}
        {trend && <span class="visually-hidden">, {t(`device.trend.${trend}`)}</span>}
        {isOld && <span class="age"> {t("value.age", { age: ageText(now - entry.measuredAt) })}</span>}
      </dd>
      {isVisible ? (
        <Sparkline field={measurement.name} points={points} intervalMs={device.intervalMs} tone={`${severity} ${isOld} ${device.isOffline}`} />
      ) : (
        <canvas class="sparkline" aria-hidden="true" />
      )}
    </div>
  );
}

/** Says beside a worrying value how it was judged, without colour: the steps of its level, or a warning sign. */
export function ValueSymbol({ judgement }: { readonly judgement: Judgement | undefined }): JSX.Element {
  const assessment = judgement?.assessment ?? null;
  if (assessment === null || assessment.level === 0) return <Icon name="warning" />;
  return (
    <>
      <LevelIcon level={assessment.level} />
      <span class="visually-hidden">{levelText(assessment)}: </span>
    </>
  );
}
