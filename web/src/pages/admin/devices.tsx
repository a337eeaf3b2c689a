import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { AdminClient } from "../../api/admin-client";
import { useApp, useDevice, useStore } from "../../app/context";
import { OutcomeLine, useOutcome } from "../../components/admin/outcome";
import { Cell, Records } from "../../components/admin/records";
import { Age } from "../../components/age";
import { PresenceBadge } from "../../components/device/presence";
import { ConfirmDialog, FormDialog } from "../../components/dialog";
import { Icon } from "../../components/icon";
import { useAction } from "../../components/use-action";
import { formats, t } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { hasWords } from "../../model/devices/ranking";
import { hrefOf } from "../../model/route";

const PAGE_SIZE = 100;
const TEXT_FIELDS = ["name", "type", "site", "room"] as const;
type Task = "edit" | "retire" | "remove";

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** The devices as the bridge lists them, retired ones apart. */
export function DevicesPage(): JSX.Element {
  const store = useStore();
  const { api, sync } = useApp();
  const search = useSignal("");
  const limit = useSignal(PAGE_SIZE);
  const open = useSignal<{ readonly task: Task; readonly device: Device } | null>(null);
  const outcome = useOutcome();
  const action = useAction();
  store.ranked.value; // changes when a device is added, renamed, retired or removed
  const wanted = search.value.trim();
  const devices = [...store.fleet.devices.values()].filter((one) => hasWords(one, wanted)).sort((a, b) => byName.compare(a.name, b.name));
  const current = devices.filter((one) => !one.isRetired);
  const retired = devices.filter((one) => one.isRetired);
  const close = (): void => {
    open.value = null;
  };
  const done = (text: string): void => {
    close();
    outcome.tell(text);
  };
  const bringBack = async (device: Device): Promise<void> => {
    const returned = await action.run(async () => {
      const record = await api.updateDevice(device.id, { retired: false }, store.table.peek());
      if (record) sync.applyRecord(record);
    });
    if (returned) done(t("devices.returned", { name: device.name }));
  };
  const shown = open.value;
  return (
    <>
      <div class="intro">
        <p class="muted">{t("devices.intro")}</p>
        <label class="search find">
          <Icon name="search" />
          <span class="visually-hidden">{t("overview.search")}</span>
          <input type="search" maxLength={128} placeholder={t("overview.search.hint")} value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
        </label>
      </div>
      <OutcomeLine outcome={outcome} />
      {action.error.value && <p class="error" role="alert">{action.error.value}</p>}
      {!store.loaded.value && <p class="waiting">{t("app.loading")}</p>}
      {store.loaded.value && current.length === 0 && (
        <section class="panel"><p>{t(wanted ? "overview.none" : "devices.none")}</p></section>
      )}
      {current.length > 0 && (
        <Records label={t("admin.tab.devices")} columns={[t("details.name"), t("details.site"), t("details.room"), t("details.status"), t("details.lastSeen"), t("details.connection"), t("admin.actions")]}>
          {current.slice(0, limit.value).map((device) => <Row key={device.id} device={device} onTask={(task) => (open.value = { task, device })} />)}
        </Records>
      )}
      {current.length > limit.value && (
        <button type="button" class="older" onClick={() => (limit.value += PAGE_SIZE)}>{t("device.more", { count: current.length - limit.value })}</button>
      )}
      {retired.length > 0 && (
        <section class="retired" aria-labelledby="retired-title">
          <h2 id="retired-title">{t("devices.retired")} <span class="number">{formats.value.count(retired.length)}</span></h2>
          <p class="muted small">{t("devices.retired.more")}</p>
          <Records label={t("devices.retired")} columns={[t("details.name"), t("details.site"), t("details.room"), t("devices.retiredSince"), t("details.lastSeen"), t("admin.actions")]}>
            {retired.slice(0, limit.value).map((device) => (
              <RetiredRow key={device.id} device={device} onReturn={() => void bringBack(device)} onRemove={() => (open.value = { task: "remove", device })} />
            ))}
          </Records>
        </section>
      )}
      {shown && <TaskDialog task={shown.task} device={shown.device} onClose={close} onDone={done} />}
    </>
  );
}

function Name({ device }: { readonly device: Device }): JSX.Element {
  return (
    <>
      <a href={hrefOf({ page: "device", id: device.id })}><strong>{device.name}</strong></a>
      {device.name !== device.id && <span class="code muted small">{device.id}</span>}
    </>
  );
}

function LastSeen({ device }: { readonly device: Device }): JSX.Element {
  const at = Math.max(device.record?.lastSeen ?? 0, device.measuredAt ?? 0);
  return at > 0 ? <Age at={at} /> : <>{t("details.never")}</>;
}

function Row({ device, onTask }: { readonly device: Device; readonly onTask: (task: Task) => void }): JSX.Element {
  useDevice(device);
  const { record } = device;
  const by = record?.connection;
  const label = (text: string): string => `${text}: ${device.name}`;
  return (
    <tr role="row">
      <Cell name={t("details.name")} class="name"><Name device={device} /></Cell>
      <Cell name={t("details.site")}>{record?.site ?? t("value.none")}</Cell>
      <Cell name={t("details.room")}>{record?.room ?? t("value.none")}</Cell>
      <Cell name={t("details.status")}><PresenceBadge device={device} /></Cell>
      <Cell name={t("details.lastSeen")}><LastSeen device={device} /></Cell>
      <Cell name={t("details.connection")}>{by === "socket" || by === "mqtt" ? t(`details.connection.${by}`) : t("details.connection.readings")}</Cell>
      <Cell name={t("admin.actions")} class="actions">
        <button type="button" aria-label={label(t("details.edit"))} onClick={() => onTask("edit")}>{t("details.edit")}</button>
        <button type="button" aria-label={label(t("devices.retire"))} onClick={() => onTask("retire")}>{t("devices.retire")}</button>
        <button type="button" aria-label={label(t("admin.remove"))} onClick={() => onTask("remove")}>{t("admin.remove")}</button>
      </Cell>
    </tr>
  );
}

interface RetiredRowProps {
  readonly device: Device;
  readonly onReturn: () => void;
  readonly onRemove: () => void;
}

function RetiredRow({ device, onReturn, onRemove }: RetiredRowProps): JSX.Element {
  useDevice(device);
  const { record } = device;
  const since = record?.retiredAt ?? 0;
  const stillSends = Math.max(record?.lastSeen ?? 0, device.measuredAt ?? 0) > since;
  return (
    <tr role="row">
      <Cell name={t("details.name")} class="name"><Name device={device} /></Cell>
      <Cell name={t("details.site")}>{record?.site ?? t("value.none")}</Cell>
      <Cell name={t("details.room")}>{record?.room ?? t("value.none")}</Cell>
      <Cell name={t("devices.retiredSince")}>{formats.value.day(since)}</Cell>
      <Cell name={t("details.lastSeen")}><LastSeen device={device} />{stillSends && <span class="tag">{t("devices.stillSends")}</span>}</Cell>
      <Cell name={t("admin.actions")} class="actions">
        <button type="button" aria-label={`${t("devices.return")}: ${device.name}`} onClick={onReturn}>{t("devices.return")}</button>
        <button type="button" aria-label={`${t("admin.remove")}: ${device.name}`} onClick={onRemove}>{t("admin.remove")}</button>
      </Cell>
    </tr>
  );
}

interface TaskProps {
  readonly task: Task;
  readonly device: Device;
  readonly onClose: () => void;
  readonly onDone: (text: string) => void;
}

function TaskDialog({ task, device, onClose, onDone }: TaskProps): JSX.Element {
  const { api, store, sync } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const { id, name } = device;
  const change = async (patch: Readonly<Record<string, string | boolean | null>>): Promise<void> => {
    const record = await api.updateDevice(id, patch, store.table.peek());
    if (record) sync.applyRecord(record);
  };
  switch (task) {
    case "edit": {
      const save = async (form: FormData): Promise<void> => {
        await change(Object.fromEntries(TEXT_FIELDS.map((field) => [field, String(form.get(field) ?? "").trim() || null])));
        onDone(t("devices.changed", { name: device.name }));
      };
      return (
        <FormDialog title={t("devices.edit", { name })} action={t("details.save")} onSubmit={save} onClose={onClose}>
          {TEXT_FIELDS.map((field, index) => (
            <label key={field}>
              <span>{t(`details.${field}`)}</span>
              <input name={field} defaultValue={device.record?.[field] ?? ""} maxLength={200} autoComplete="off" autoFocus={index === 0} list={`known-${field}`} />
              {(field === "site" || field === "room") && <Known field={field} />}
            </label>
          ))}
        </FormDialog>
      );
    }
    case "retire":
      return (
        <ConfirmDialog title={t("devices.retire.title", { name })} action={t("devices.retire")} onClose={onClose}
          onConfirm={async () => {
            await change({ retired: true });
            onDone(t("devices.wasRetired", { name }));
          }}>
          <ul>
            <li>{t("devices.retire.alarms")}</li>
            <li>{t("devices.retire.apart")}</li>
            <li>{t("devices.retire.kept")}</li>
          </ul>
        </ConfirmDialog>
      );
    case "remove":
      return (
        <ConfirmDialog title={t("devices.remove.title", { name })} action={t("admin.remove")} onClose={onClose}
          onConfirm={async () => {
            await admin.removeDevice(id);
            sync.forgetDevice(id);
            onDone(t("devices.removed", { name }));
          }}>
          <ul>
            <li>{t("devices.remove.lost")}</li>
            <li>{t("devices.remove.kept")}</li>
            <li>{t("devices.remove.again")}</li>
          </ul>
        </ConfirmDialog>
      );
  }
}

/** Sites and rooms that are used already. */
function Known({ field }: { readonly field: "site" | "room" }): JSX.Element {
  const { fleet } = useStore();
  const known = [...new Set([...fleet.devices.values()].flatMap(({ record }) => record?.[field] ?? []))].sort(byName.compare);
  return <datalist id={`known-${field}`}>{known.slice(0, PAGE_SIZE).map((one) => <option key={one} value={one} />)}</datalist>;
}
