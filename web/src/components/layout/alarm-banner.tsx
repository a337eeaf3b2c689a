import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { Store } from "../../app/store";
import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import type { Issue } from "../../model/devices/issues";
import { issuesOf } from "../../model/devices/issues";
import { hrefOf } from "../../model/route";
import { Age } from "../age";
import { Icon } from "../icon";

const MAX_NAMED = 4;

/** The devices that report a flame, or whose values are dangerous to everyone. */
export function useAlarms(): readonly Device[] {
  return useStore().ranked.value.flatMap(({ device, severity }) => (severity === "alarm" ? [device] : []));
}

/** Shown on every page while there is an alarm. The age is outside of the live region, because it changes every second. */
export function AlarmBanner(): JSX.Element | null {
  const store = useStore();
  const devices = useAlarms();
  const [first] = devices;
  if (first === undefined) return null;
  const isOne = devices.length === 1;
  const reason = reasonText(store, first);
  const isSameReason = devices.every((device) => reasonText(store, device) === reason);
  return (
    <section class="alarm" aria-label={t("app.title.alarm")}>
      <div role="alert">
        <Icon name={devices.some(flameOf) ? "flame" : "warning"} />
        <h2>{isOne || isSameReason ? reason : t("alarm.devices", { count: devices.length })}</h2>
        <ul>
          {devices.slice(0, MAX_NAMED).map((device) => (
            <li key={device.id}>
              <a href={hrefOf({ page: "device", id: device.id })}>{nameAndPlace(device)}</a>
              {!isSameReason && ` (${reasonText(store, device)})`}
            </li>
          ))}
          {devices.length > MAX_NAMED && <li>{t("issue.more", { count: devices.length - MAX_NAMED })}</li>}
        </ul>
      </div>
      {isOne && <FlameAge device={first} />}
    </section>
  );
}

function FlameAge({ device }: { device: Device }): JSX.Element | null {
  const flame = flameOf(device);
  return flame ? <Age at={flame.since} /> : null;
}

function reasonText(store: Store, device: Device): string {
  const { worst } = store.assessment(device);
  return flameOf(device) || worst === null ? t("alarm.flame") : `${t(worst.key)}: ${t(worst.levelKey)}`;
}

function flameOf(device: Device): Extract<Issue, { kind: "flame" }> | undefined {
  return issuesOf(device).find((one) => one.kind === "flame");
}

function nameAndPlace(device: Device): string {
  return [device.name, device.record?.room, device.record?.site].filter(Boolean).join(", ");
}
