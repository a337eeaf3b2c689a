import { useComputed } from "@preact/signals";
import type { JSX } from "preact";

import { useDevice, useStore } from "../../app/context";
import { formats, t } from "../../i18n";
import { adviceText, figureText, messageText, standardText, stateText } from "../../i18n/alarm-text";
import type { Alarm } from "../../model/alarms/alarm";
import { isActive, isInBanner } from "../../model/alarms/alarm";
import type { AlarmGroup } from "../../model/alarms/groups";
import { sectionsOf } from "../../model/alarms/groups";
import type { Device } from "../../model/devices/device";
import { hrefOf } from "../../model/route";
import { Age } from "../age";
import { Icon } from "../icon";
import { SoundButton } from "./sound-button";

const MAX_NAMED = 4;

/** The urgent alarms that stand, or that were over before anybody acknowledged them. */
export function useBannerAlarms(): readonly Alarm[] {
  const { alarms } = useStore();
  return useComputed(() => alarms.value.filter(isInBanner)).value;
}

/**
 * Shown on every page while there is an urgent alarm: what, how much, where, since when, and what to do. `isBrief` leaves out what
 * the page itself lists.
 */
export function AlarmBanner({ isBrief }: { readonly isBrief: boolean }): JSX.Element | null {
  const alarms = useBannerAlarms();
  if (alarms.length === 0) return null;
  const groups = sectionsOf(alarms).flatMap((one) => one.groups);
  const named = groups.slice(0, MAX_NAMED);
  const firsts = named.map(({ first }) => first);
  const [only] = groups.length === 1 ? firsts : [];
  const others = groups.slice(MAX_NAMED).reduce((sum, group) => sum + group.alarms.length, 0);
  return (
    <section class="alarm" aria-label={t("app.title.alarm")}>
      <div>
        <Icon name={firsts.some(({ field }) => field === "flameDetected") ? "flame" : "warning"} />
        <h2>{only ? messageText(only) : t("alarm.count", { count: alarms.length })}</h2>
        {!isBrief && (
          <ul>
            {named.map((group) => <Named key={group.key} group={group} isOnly={group.first === only} />)}
            {others > 0 && <li>{t("issue.more", { count: others })}</li>}
          </ul>
        )}
        {fullest(distinct(firsts.filter(isActive).map(adviceText))).map((advice) => <p key={advice} class="advice">{advice}</p>)}
      </div>
      <div class="more">
        <p class="small-print">{[...distinct(firsts.map(standardText)), t("app.disclaimer")].join(" · ")}</p>
        {!isBrief && <SoundButton />}
        {!isBrief && <a href={hrefOf({ page: "alarms", tab: "standing" })}>{t("alarm.all")}</a>}
      </div>
    </section>
  );
}

function Named({ group, isOnly }: { readonly group: AlarmGroup; readonly isOnly: boolean }): JSX.Element {
  const { now, device: find } = useBannerStore();
  const { first, alarms } = group;
  const device = first.deviceId === null ? undefined : find(first.deviceId);
  const since = isActive(first) ? first.raisedAt : first.clearedAt ?? first.raisedAt;
  const others = alarms.length - 1;
  return (
    <li>
      {device && isActive(first) && <Current device={device} alarm={first} />}
      {!isOnly && <span>{messageText(first)}</span>}
      {first.deviceId !== null && <a href={hrefOf({ page: "device", id: first.deviceId })}>{device?.name ?? first.deviceId}</a>}
      {since !== null && (
        <span class="since">
          {!isActive(first) && `${stateText(first)}, `}
          {t("alarm.since", { time: formats.value.moment(since, now) })} (<Age at={since} />)
        </span>
      )}
      {others > 0 && <span>{t("issue.more", { count: others })}</span>}
    </li>
  );
}

function useBannerStore(): { readonly now: number; readonly device: (id: string) => Device | undefined } {
  const store = useStore();
  store.ranked.value; // changes when the device is added, or its name is known
  return { now: store.now.peek(), device: (id) => store.device(id) };
}

/** The newest value of the field, which the alarm is about. */
function Current({ device, alarm }: { readonly device: Device; readonly alarm: Alarm }): JSX.Element | null {
  useDevice(device);
  const entry = alarm.field === null ? undefined : device.entries.get(alarm.field);
  if (typeof entry?.value !== "number" || device.isStale(entry)) return null;
  return <strong class="figure">{t("alarm.now", { value: figureText(entry.value, alarm) })}</strong>;
}

/** Without those that another one begins with: what to do is said once. */
function fullest(texts: readonly string[]): string[] {
  return texts.filter((text) => !texts.some((other) => other !== text && other.startsWith(text)));
}

function distinct(texts: readonly (string | null)[]): string[] {
  return [...new Set(texts.filter((text) => text !== null && text !== ""))] as string[];
}
