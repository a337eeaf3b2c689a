import type { JSX } from "preact";

import { t } from "../i18n";
import type { Device } from "../model/device";
import { concernsOf } from "../model/concern";
import { link } from "../model/route";
import { Age } from "./age";
import { useApp } from "./context";
import { Icon } from "./icon";

const NAMED = 4;

/** The devices that say that something is burning. */
export function useAlarms(): readonly Device[] {
  return useApp().ranked.value.flatMap(({ device, severity }) => (severity === "alarm" ? [device] : []));
}

/** On every view, until no device says so any more. It is announced without its age, which changes by the second. */
export function AlarmBanner(): JSX.Element | null {
  const devices = useAlarms();
  const [first] = devices;
  if (first === undefined) return null;
  return (
    <section class="alarm" aria-label={t("app.title.alarm")}>
      <div role="alert">
        <Icon name="flame" />
        <h2>{devices.length === 1 ? t("alarm.flame") : t("alarm.devices", { count: devices.length })}</h2>
        <ul>
          {devices.slice(0, NAMED).map((device) => (
            <li key={device.id}><a href={link({ view: "device", id: device.id })}>{place(device)}</a></li>
          ))}
          {devices.length > NAMED && <li>{t("concern.more", { count: devices.length - NAMED })}</li>}
        </ul>
      </div>
      {devices.length === 1 && <Since device={first} />}
    </section>
  );
}

function Since({ device }: { device: Device }): JSX.Element | null {
  const flame = concernsOf(device).find(({ kind }) => kind === "flame");
  return flame?.kind === "flame" ? <Age at={flame.since} /> : null;
}

function place(device: Device): string {
  return [device.name, device.record?.room, device.record?.site].filter(Boolean).join(", ");
}
