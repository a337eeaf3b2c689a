import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { formats, t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { Age } from "../age";
import { useApp, useDevice } from "../../app/context";
import { errorText } from "../error-text";
import { Icon } from "../icon";
import { PresenceMark } from "./presence";

const TEXTS = ["name", "type", "site", "room"] as const;

/** What is known of the device; what an operator says of it can be changed. */
export function Facts({ device }: { device: Device }): JSX.Element {
  const isEditing = useSignal(false);
  const { access } = useApp();
  return (
    <section class="panel facts" id="about" aria-labelledby="about-title">
      <header>
        <h2 id="about-title">{t("facts.title")}</h2>
        {!isEditing.value && access.may("manage") && (
          <button type="button" class="quiet-button" aria-label={t("facts.edit")} title={t("facts.edit")} onClick={() => (isEditing.value = true)}>
            <Icon name="edit" />
          </button>
        )}
      </header>
      {isEditing.value ? <Form device={device} onDone={() => (isEditing.value = false)} /> : <List device={device} />}
    </section>
  );
}

function List({ device }: { device: Device }): JSX.Element {
  useDevice(device);
  const record = device.record;
  const texts = TEXTS.map((name) => [t(`facts.${name}`), record?.[name] ?? <span class="quiet">{t("facts.none")}</span>] as const);
  const connection = record?.connection;
  const by = connection === "socket" || connection === "mqtt" ? t(`facts.connection.${connection}`) : t("facts.connection.heard");
  const rows: (readonly [string, JSX.Element | string])[] = [
    [t("facts.status"), <PresenceMark device={device} />],
    [t("facts.id"), <span class="code">{device.id}</span>],
    ...texts,
    [t("facts.connection"), by],
    [t("facts.lastSeen"), record?.lastSeen ? <Age at={Math.max(record.lastSeen, device.measuredAt ?? 0)} /> : t("facts.never")],
  ];
  if (record?.expectedInterval != null) rows.push([t("facts.interval"), t("facts.interval.expected", { time: formats.value.duration(record.expectedInterval * 1000) })]);
  else if (record?.interval != null) rows.push([t("facts.interval"), t("facts.interval.learnt", { time: formats.value.duration(record.interval * 1000) })]);
  if (record?.createdAt) rows.push([t("facts.created"), formats.value.full(record.createdAt)]);
  return (
    <>
      <dl>{rows.map(([name, fact]) => <div key={name}><dt>{name}</dt><dd>{fact}</dd></div>)}</dl>
      {record && record.state.size > 0 && (
        <>
          <h3>{t("facts.reports")}</h3>
          <dl>{[...record.state].map(([name, value]) => <div key={name}><dt class="code">{name}</dt><dd>{value}</dd></div>)}</dl>
        </>
      )}
    </>
  );
}

function Form({ device, onDone }: { device: Device; onDone: () => void }): JSX.Element {
  const app = useApp();
  const isSaving = useSignal(false);
  const error = useSignal("");
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const form = new FormData(event.currentTarget);
    const said = (name: string): string | null => String(form.get(name) ?? "").trim() || null;
    const interval = said("expectedInterval");
    isSaving.value = true;
    error.value = "";
    try {
      const amendment = { ...Object.fromEntries(TEXTS.map((name) => [name, said(name)])), expectedInterval: interval === null ? null : Number(interval) };
      const record = await app.http.amend(device.id, amendment, app.table.peek());
      if (record) app.know(record);
      onDone();
    } catch (failure) {
      error.value = errorText(failure);
    }
    isSaving.value = false;
  };
  return (
    <form onSubmit={(event) => void save(event)}>
      {TEXTS.map((name, place) => (
        <label key={name}>
          <span>{t(`facts.${name}`)}</span>
          <input name={name} defaultValue={device.record?.[name] ?? ""} maxLength={200} autoComplete="off" autoFocus={place === 0} />
        </label>
      ))}
      <label>
        <span>{t("facts.expected")}</span>
        <input name="expectedInterval" type="number" min="0.1" max="604800" step="any" defaultValue={device.record?.expectedInterval ?? ""} />
      </label>
      {error.value && <p class="error small" role="alert">{t("facts.failed", { error: error.value })}</p>}
      <div class="buttons">
        <button type="submit" class="primary" disabled={isSaving.value}>{t(isSaving.value ? "facts.saving" : "facts.save")}</button>
        <button type="button" onClick={onDone}>{t("facts.cancel")}</button>
      </div>
    </form>
  );
}
