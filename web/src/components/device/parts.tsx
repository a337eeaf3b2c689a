import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { DeviceExtras } from "../../app/device-extras";
import { t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { hrefOf } from "../../model/route";

/** The sensors of a device that measure the same quantity: those with a series of their own have a page of their own. */
export function Parts({ extras }: { extras: DeviceExtras }): JSX.Element | null {
  const parts = extras.detail.value?.parts ?? [];
  if (parts.length === 0) return null;
  return (
    <section class="panel parts" aria-labelledby="parts-title">
      <h2 id="parts-title">{t("parts.title")}</h2>
      <ul>
        {parts.map(({ name, id }) => (
          <li key={name}>
            {id === null ? <span>{name}</span> : <a href={hrefOf({ page: "device", id })}>{name}</a>}
            <span class="muted small">{t(id === null ? "parts.shared" : "parts.own")}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** A link from the page of a part to its device. */
export function PartOf({ device }: { device: Device }): JSX.Element | null {
  const store = useStore();
  const id = device.record?.partOf;
  if (!id) return null;
  return <a href={hrefOf({ page: "device", id })}>{t("parts.of", { device: store.device(id)?.name ?? id })}</a>;
}
