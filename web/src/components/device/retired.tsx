import type { JSX } from "preact";

import { useDevice, useStore } from "../../app/context";
import { formats, t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { hrefOf } from "../../model/route";

/** Says that a device is retired; nothing for any other. */
export function RetiredNote({ device }: { readonly device: Device }): JSX.Element | null {
  useDevice(device);
  const since = device.record?.retiredAt ?? null;
  return since === null ? null : <p class="retired-note">{t("devices.isRetired", { time: formats.value.day(since) })}</p>;
}

/** Retired devices, apart from the others: their history can still be read. */
export function RetiredDevices(): JSX.Element | null {
  const store = useStore();
  store.ranked.value; // changes when a device is retired or returns
  const retired = [...store.fleet.devices.values()].filter((one) => one.isRetired);
  if (retired.length === 0) return null;
  return (
    <details class="retired-devices">
      <summary>{t("devices.retired")} <span class="number">{formats.value.count(retired.length)}</span></summary>
      <ul>
        {retired.map((device) => <li key={device.id}><a href={hrefOf({ page: "device", id: device.id })}>{device.name}</a></li>)}
      </ul>
    </details>
  );
}
