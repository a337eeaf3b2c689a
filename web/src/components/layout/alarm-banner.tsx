import type { JSX } from "preact";

import type { App } from "../../app/app";
import { t } from "../../i18n";
import { concernsOf } from "../../model/devices/issues";
import type { Concern } from "../../model/devices/issues";
import type { Device } from "../../model/devices/device";
import { link } from "../../model/route";
import { Age } from "../age";
import { useApp } from "../../app/context";
import { Icon } from "../icon";

const NAMED = 4;

/** The devices that say that something is burning, or whose values mean danger to everyone. */
export function useAlarms(): readonly Device[] {
  return useApp().ranked.value.flatMap(({ device, severity }) => (severity === "alarm" ? [device] : []));
}

/** On every view, until no device says so any more. It is announced without its age, which changes by the second. */
export function AlarmBanner(): JSX.Element | null {
  const app = useApp();
  const devices = useAlarms();
  const [first] = devices;
  if (first === undefined) return null;
  const isOne = devices.length === 1;
  const reason = reasonText(app, first);
  const isSame = devices.every((device) => reasonText(app, device) === reason);
  return (
    <section class="alarm" aria-label={t("app.title.alarm")}>
      <div role="alert">
        <Icon name={devices.some(flameOf) ? "flame" : "warning"} />
        <h2>{isOne || isSame ? reason : t("alarm.devices", { count: devices.length })}</h2>
        <ul>
          {devices.slice(0, NAMED).map((device) => (
            <li key={device.id}>
              <a href={link({ view: "device", id: device.id })}>{place(device)}</a>
              {!isSame && ` (${reasonText(app, device)})`}
            </li>
          ))}
          {devices.length > NAMED && <li>{t("concern.more", { count: devices.length - NAMED })}</li>}
        </ul>
      </div>
      {isOne && <Since device={first} />}
    </section>
  );
}

function Since({ device }: { device: Device }): JSX.Element | null {
  const flame = flameOf(device);
  return flame ? <Age at={flame.since} /> : null;
}

function reasonText(app: App, device: Device): string {
  const { worst } = app.meaning(device);
  return flameOf(device) || worst === null ? t("alarm.flame") : `${t(worst.key)}: ${t(worst.levelKey)}`;
}

function flameOf(device: Device): Extract<Concern, { kind: "flame" }> | undefined {
  return concernsOf(device).find((one) => one.kind === "flame");
}

function place(device: Device): string {
  return [device.name, device.record?.room, device.record?.site].filter(Boolean).join(", ");
}
