import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useApp, useDevice } from "../../app/context";
import { formats, t, unitName } from "../../i18n";
import type { DeviceExtras } from "../../app/device-extras";
import type { Device } from "../../model/devices/device";
import { Age } from "../age";
import { errorText } from "../error-text";
import { Icon } from "../icon";
import { PresenceBadge } from "./presence";

const TEXT_FIELDS = ["name", "type", "site", "room"] as const;

/** The device's registry record, and a form to edit it. */
export function DeviceDetails({ device, extras }: { device: Device; extras: DeviceExtras }): JSX.Element {
  const isEditing = useSignal(false);
  const { session } = useApp();
  return (
    <section class="panel device-details" id="details" aria-labelledby="details-title">
      <header>
        <h2 id="details-title">{t("details.title")}</h2>
        {!isEditing.value && session.can("manage") && (
          <button type="button" class="icon-button" aria-label={t("details.edit")} title={t("details.edit")} onClick={() => (isEditing.value = true)}>
            <Icon name="edit" />
          </button>
        )}
      </header>
      {isEditing.value ? <Form device={device} extras={extras} onDone={() => (isEditing.value = false)} /> : <List device={device} extras={extras} />}
    </section>
  );
}

function List({ device, extras }: { device: Device; extras: DeviceExtras }): JSX.Element {
  useDevice(device);
  const record = device.record;
  const texts = TEXT_FIELDS.map((name) => [t(`details.${name}`), record?.[name] ?? <span class="muted">{t("details.none")}</span>] as const);
  const connection = record?.connection;
  const by = connection === "socket" || connection === "mqtt" ? t(`details.connection.${connection}`) : t("details.connection.readings");
  const rows: (readonly [string, JSX.Element | string])[] = [
    [t("details.status"), <PresenceBadge device={device} />],
    [t("details.id"), <span class="code">{device.id}</span>],
    ...texts,
    [t("details.connection"), by],
    [t("details.lastSeen"), record?.lastSeen ? <Age at={Math.max(record.lastSeen, device.measuredAt ?? 0)} /> : t("details.never")],
  ];
  if (record?.expectedInterval != null) rows.push([t("details.interval"), t("details.interval.expected", { time: formats.value.duration(record.expectedInterval * 1000) })]);
  else if (record?.interval != null) rows.push([t("details.interval"), t("details.interval.learned", { time: formats.value.duration(record.interval * 1000) })]);
  const { timezone = null, clockOffset = null, units } = extras.detail.value ?? {};
  if (timezone !== null) rows.push([t("details.timezone"), timezone]);
  else if (clockOffset !== null) rows.push([t("details.timezone"), t("details.timezone.learned", { offset: clockOffset })]);
  if (units && units.size > 0) rows.push([t("details.units"), [...units].map(([name, unit]) => `${name}: ${unitName(unit)}`).join(", ")]);
  if (record?.createdAt) rows.push([t("details.created"), formats.value.full(record.createdAt)]);
  return (
    <>
      <dl>{rows.map(([name, fact]) => <div key={name}><dt>{name}</dt><dd>{fact}</dd></div>)}</dl>
      {record && record.state.size > 0 && (
        <>
          <h3>{t(device.presence === "offline" ? "details.reported" : "details.reports")}</h3>
          <dl>{[...record.state].map(([name, value]) => <div key={name}><dt class="code">{name}</dt><dd>{value}</dd></div>)}</dl>
        </>
      )}
    </>
  );
}

function Form({ device, extras, onDone }: { device: Device; extras: DeviceExtras; onDone: () => void }): JSX.Element {
  const { api, store, sync } = useApp();
  const isSaving = useSignal(false);
  const error = useSignal("");
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const form = new FormData(event.currentTarget);
    const entered = (name: string): string | null => String(form.get(name) ?? "").trim() || null;
    const interval = entered("expectedInterval");
    isSaving.value = true;
    error.value = "";
    try {
      const zone = device.record?.partOf ? {} : { timezone: entered("timezone") };
      const patch = { ...zone, ...Object.fromEntries(TEXT_FIELDS.map((name) => [name, entered(name)])), expectedInterval: interval === null ? null : Number(interval) };
      const record = await api.updateDevice(device.id, patch, store.table.peek());
      if (record) sync.applyRecord(record);
      extras.detail.value = await api.deviceDetail(device.id).catch(() => extras.detail.peek());
      onDone();
    } catch (failure) {
      error.value = errorText(failure);
    }
    isSaving.value = false;
  };
  return (
    <form onSubmit={(event) => void save(event)}>
      {TEXT_FIELDS.map((name, index) => (
        <label key={name}>
          <span>{t(`details.${name}`)}</span>
          <input name={name} defaultValue={device.record?.[name] ?? ""} maxLength={200} autoComplete="off" autoFocus={index === 0} />
        </label>
      ))}
      <label>
        <span>{t("details.expected")}</span>
        <input name="expectedInterval" type="number" min="0.1" max="604800" step="any" defaultValue={device.record?.expectedInterval ?? ""} />
      </label>
      {!device.record?.partOf && (
        <label>
          <span>{t("details.timezone.edit")}</span>
          <input name="timezone" defaultValue={extras.detail.peek()?.timezone ?? ""} maxLength={64} autoComplete="off" placeholder="Europe/Paris" />
        </label>
      )}
      {error.value && <p class="error small" role="alert">{t("details.failed", { error: error.value })}</p>}
      <div class="buttons">
        <button type="submit" class="primary" disabled={isSaving.value}>{t(isSaving.value ? "details.saving" : "details.save")}</button>
        <button type="button" onClick={onDone}>{t("details.cancel")}</button>
      </div>
    </form>
  );
}
