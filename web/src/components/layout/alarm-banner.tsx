import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { Store } from "../../app/store";
import { formats, t } from "../../i18n";
import { adviceText, figureText, indexText, levelText, standardText } from "../../i18n/assessment-text";
import type { Alarm } from "../../model/devices/alarm";
import { alarmOf, byUrgency } from "../../model/devices/alarm";
import type { Device } from "../../model/devices/device";
import type { Since } from "../../model/devices/device-assessment";
import type { Measurement } from "../../model/wire";
import { hrefOf } from "../../model/route";
import { Age } from "../age";
import { Icon } from "../icon";

const MAX_NAMED = 4;

/** The devices that report a flame, or whose values are dangerous to everyone. */
export function useAlarms(): readonly Device[] {
  return useStore().ranked.value.flatMap(({ device, severity }) => (severity === "alarm" ? [device] : []));
}

/**
 * Shown on every page while there is an alarm: what, how much, where, since when, and what to do. Figures and ages are not
 * announced, because they change every few seconds.
 */
export function AlarmBanner(): JSX.Element | null {
  const store = useStore();
  const devices = useAlarms();
  if (devices.length === 0) return null;
  const table = store.table.value;
  const alarms = devices.map((device) => readAlarm(store, device)).sort(byUrgency);
  const reasons = new Set(alarms.map((alarm) => reasonText(alarm, table)));
  const [reason = ""] = reasons;
  const isSameReason = reasons.size === 1;
  const named = alarms.slice(0, MAX_NAMED);
  return (
    <section class="alarm" aria-label={t("app.title.alarm")}>
      <div role="alert">
        <Icon name={alarms.some(isFlame) ? "flame" : "warning"} />
        <h2>{isSameReason ? reason : t("alarm.devices", { count: devices.length })}</h2>
        <ul>
          {named.map((alarm) => <Place key={alarm.device.id} alarm={alarm} reason={isSameReason ? "" : reasonText(alarm, table)} />)}
          {alarms.length > MAX_NAMED && <li>{t("issue.more", { count: alarms.length - MAX_NAMED })}</li>}
        </ul>
        {distinct(named.map(toDo)).map((advice) => <p key={advice} class="advice">{advice}</p>)}
      </div>
      <p class="small-print">{[...distinct(named.map(({ assessment }) => assessment && standardText(assessment))), t("app.disclaimer")].join(" · ")}</p>
    </section>
  );
}

function Place({ alarm, reason }: { readonly alarm: Alarm; readonly reason: string }): JSX.Element {
  const { device, assessment, since } = alarm;
  const figure = assessment && figureText(assessment);
  return (
    <li>
      {figure && <strong class="figure" aria-live="off">{figure.filter(Boolean).join(" ")}</strong>}
      <a href={hrefOf({ page: "device", id: device.id })}>{nameAndPlace(device)}</a>
      {reason && <span>{reason}</span>}
      {since && <SinceWhen since={since} />}
    </li>
  );
}

function SinceWhen({ since: { at, isExact } }: { readonly since: Since }): JSX.Element {
  const time = formats.value.moment(at, useStore().now.peek());
  return (
    <span class="since" aria-live="off">
      {t(isExact ? "alarm.since" : "alarm.sinceAtLeast", { time })} (<Age at={at} />)
    </span>
  );
}

function readAlarm(store: Store, device: Device): Alarm {
  store.deviceVersion(device.id).value; // a new report is a change of the device
  return alarmOf(device, store.assessment(device), (key) => store.assessments.alarmingSince(device.id, key));
}

function reasonText(alarm: Alarm, table: readonly Measurement[]): string {
  const { assessment } = alarm;
  if (isFlame(alarm) || assessment === null) return t("alarm.flame");
  return t("alarm.reason", { what: indexText(assessment, table), level: levelText(assessment) });
}

function toDo({ assessment }: Alarm): string | null {
  return assessment === null ? t("advice.flame") : adviceText(assessment);
}

function isFlame({ assessment }: Alarm): boolean {
  return assessment === null || assessment.field === "flameDetected";
}

function distinct(texts: readonly (string | null)[]): string[] {
  return [...new Set(texts.filter((text) => text !== null))];
}

function nameAndPlace(device: Device): string {
  return [device.name, device.record?.room, device.record?.site].filter(Boolean).join(", ");
}
