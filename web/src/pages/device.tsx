import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { useApp, useDevice, useStore } from "../app/context";
import { DeviceAlarms } from "../app/device-alarms";
import { DeviceAnnotations } from "../app/device-annotations";
import { DeviceExtras } from "../app/device-extras";
import { DeviceForecasts } from "../app/device-forecasts";
import { DeviceHistory } from "../app/device-history";
import { onRangeKey } from "../app/range-gestures";
import { useStandards } from "../app/use-standards";
import { viewAddress } from "../app/view-state";
import { Age } from "../components/age";
import { AnnotationList } from "../components/charts/annotation-list";
import { Charts } from "../components/charts/charts";
import { RangePicker } from "../components/charts/range-picker";
import { DeviceAlarmPanel } from "../components/device/alarms";
import { AlsoSends } from "../components/device/also-sends";
import { AssessmentPanel } from "../components/device/assessments";
import { Commands } from "../components/device/commands";
import { DeviceDetails } from "../components/device/details";
import { IssueList } from "../components/device/issue-list";
import { LevelBadge } from "../components/device/level";
import { PartOf, Parts } from "../components/device/parts";
import { PresenceBadge } from "../components/device/presence";
import { ReportedStatus } from "../components/device/reported-status";
import { RetiredNote } from "../components/device/retired";
import { SensorHealth } from "../components/device/sensor-health";
import { Tip } from "../components/device/tip";
import { errorText } from "../components/error-text";
import { useFaults } from "../components/faults/fault-list";
import { Icon } from "../components/icon";
import { formats, t } from "../i18n";
import type { Device } from "../model/devices/device";
import { issuesOf } from "../model/devices/issues";
import { hrefOf } from "../model/route";
import "../style/device.css";

export function DevicePage({ id }: { id: string }): JSX.Element {
  const store = useStore();
  store.ranked.value; // changes when the device is added or removed
  const device = store.device(id);
  if (device) return <KnownDevice device={device} />;
  return (
    <div class="waiting">
      <h1>{t(store.loaded.value ? "device.notFound" : "app.loading")}</h1>
      <p class="code">{id}</p>
      <p><a href="#/">{t("app.back")}</a></p>
    </div>
  );
}

function KnownDevice({ device }: { device: Device }): JSX.Element {
  const app = useApp();
  const { session, store } = app;
  const history = useMemo(() => new DeviceHistory(app, device.id), [device]);
  const extras = useMemo(() => new DeviceExtras(app, device.id, history), [history]);
  const alarms = useMemo(() => new DeviceAlarms(app, device.id, history), [history]);
  const forecasts = useMemo(() => new DeviceForecasts(app, device.id, history), [history]);
  const annotations = useMemo(() => new DeviceAnnotations(app, device.id, history, alarms), [history]);
  const standards = useStandards();
  useEffect(() => () => history.close(), [history]);
  useEffect(() => () => forecasts.close(), [forecasts]);
  useEffect(() => () => alarms.close(), [alarms]);
  useEffect(() => () => extras.close(), [extras]);
  useEffect(() => () => annotations.close(), [annotations]);
  useDevice(device);
  const [standing, allFaults] = [useFaults({ state: "standing", device: device.id }), useFaults({ state: "all", device: device.id })];
  const { assessments, worst } = store.assessment(device);
  const hasFaults = (standing.listed.value?.items.length ?? 0) > 0;
  return (
    <article class="device">
      <header>
        <a class="back" href="#/" onClick={(event) => viewAddress().goBackTo("#/") && event.preventDefault()}><Icon name="back" />{t("device.back")}</a>
        <h1>{device.name}</h1>
        <div class="subheader">
          <p class="state">
            <PresenceBadge device={device} />
            <ReportedStatus device={device} />
            {device.measuredAt !== null && <Age at={device.measuredAt} />}
            <PartOf device={device} />
            <span>{[device.record?.site, device.record?.room].filter(Boolean).join(" / ")}</span>
          </p>
          <p class="section-links">
            {assessments.length > 0 && <SectionLink id="assessments" label={t("assessment.title")} />}
            {hasFaults && <SectionLink id="sensor-health" label={t("fault.title")} />}
            {session.sharedView === null && <SectionLink id="annotations" label={t("annotation.title")} />}
            {session.sharedView === null && <SectionLink id="commands" label={t("command.title")} isBeside />}
            <SectionLink id="details" label={t("details.title")} isBeside />
            <a href={hrefOf({ page: "feed" }, { device: device.id })}>{t("feed.title")}</a>
          </p>
        </div>
        {worst && worst.level > 0 && <LevelBadge assessment={worst} />}
        <RetiredNote device={device} />
        <IssueList issues={issuesOf(device)} table={store.table.value} now={store.now.peek()} />
      </header>
      <div class="notices">
        <DeviceAlarmPanel device={device} />
        <Tip device={device} isFull />
      </div>
      <section class="history" aria-label={t("chart.region")} tabIndex={0} onKeyDown={(event) => onRangeKey(event, history, store.bridgeNow())}>
        <Parts extras={extras} />
        <RangePicker ranged={history} forecasts={forecasts} />
        <LoadStatus history={history} />
        <Charts device={device} history={history} alarms={alarms} forecasts={forecasts} annotations={annotations} standards={standards} />
        <LimitLegend alarms={alarms} />
        <ForecastLegend forecasts={forecasts} />
        <p class="muted small help mouse">{t("chart.help")}</p>
        <p class="muted small help touch">{t("chart.help.touch")}</p>
      </section>
      <AssessmentPanel device={device} />
      <div class="below">
        <SensorHealth standing={standing} all={allFaults} />
        {session.sharedView === null && (
          <AnnotationList annotations={annotations} fields={store.table.value.flatMap(({ name }) => (device.entries.has(name) ? [name] : []))} />
        )}
        <AlsoSends extras={extras} history={history} />
      </div>
      <div class="side">
        {session.sharedView === null && <Commands device={device} />}
        <DeviceDetails device={device} extras={extras} />
      </div>
    </article>
  );
}

interface SectionLinkProps {
  readonly id: string;
  readonly label: string;
  /** Whether the section is beside the charts on wide screens, where it needs no link. */
  readonly isBeside?: boolean;
}

/** Scrolls to a section that is below the charts. Not a fragment link, because the router owns the fragment. */
function SectionLink({ id, label, isBeside = false }: SectionLinkProps): JSX.Element {
  return <button type="button" class="text-button section-link" data-beside={isBeside} onClick={() => document.getElementById(id)?.scrollIntoView()}>{label}</button>;
}

function LoadStatus({ history }: { history: DeviceHistory }): JSX.Element {
  const status = history.loadState.value;
  const step = formats.value.duration(history.history.value.step);
  if (status.state === "failed") return <p class="error small" role="alert">{t("chart.failed", { error: errorText(status.error) })}</p>;
  const text = status.state === "loading" ? t("chart.loading") : t("chart.legend", { step });
  return <p class="muted small">{text}</p>;
}

function LimitLegend({ alarms }: { alarms: DeviceAlarms }): JSX.Element | null {
  return alarms.rules.value.length === 0 ? null : <p class="muted small help">{t("chart.limits")}</p>;
}

function ForecastLegend({ forecasts }: { forecasts: DeviceForecasts }): JSX.Element | null {
  const drawn = [...forecasts.predictions.value.keys()].map((name) => forecasts.drawn(name)).find((one) => one !== null);
  return drawn ? <p class="muted small help">{t("forecast.legend", { percent: formats.value.count(drawn.level * 100) })}</p> : null;
}
