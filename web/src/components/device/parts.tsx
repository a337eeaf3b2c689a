import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { DeviceExtras } from "../../app/device-extras";
import { quantityText, t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import type { Part } from "../../model/devices/device-detail";
import { primaryValues } from "../../model/devices/primary-values";
import { hrefOf } from "../../model/route";
import { Age } from "../age";

/** The sensors of a device that measure the same quantity: those with a series of their own have a page of their own. */
export function Parts({ extras }: { extras: DeviceExtras }): JSX.Element | null {
  const parts = extras.detail.value?.parts ?? [];
  if (parts.length === 0) return null;
  return (
    <section class="panel parts" aria-labelledby="parts-title">
      <h2 id="parts-title">{t("parts.title")}</h2>
      <ul>{parts.map((part) => <PartRow key={part.name} part={part} />)}</ul>
    </section>
  );
}

function PartRow({ part: { name, id } }: { part: Part }): JSX.Element {
  const store = useStore();
  if (id === null) return <li><span>{name}</span><span class="muted small">{t("parts.shared")}</span></li>;
  store.deviceVersion(id).value;
  const device = store.device(id);
  const values = device ? primaryValues(device, store.table.value) : [];
  return (
    <li>
      <a href={hrefOf({ page: "device", id })}>{name}</a>
      <span>{values.map(({ measurement, entry }) => quantityText(entry.value, measurement.name, measurement.unit)).join(", ")}</span>
      {device?.measuredAt != null && <span class="muted small"><Age at={device.measuredAt} /></span>}
    </li>
  );
}

/** A link from the page of a part to its device. */
export function PartOf({ device }: { device: Device }): JSX.Element | null {
  const store = useStore();
  const id = device.record?.partOf;
  if (!id) return null;
  return <a href={hrefOf({ page: "device", id })}>{t("parts.of", { device: store.device(id)?.name ?? id })}</a>;
}
