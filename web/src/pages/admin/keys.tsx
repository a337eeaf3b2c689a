import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import type { CreatedKey } from "../../api/admin-client";
import { AdminClient } from "../../api/admin-client";
import { useApp, useStore } from "../../app/context";
import type { Permission } from "../../auth/identity";
import { PERMISSIONS } from "../../auth/identity";
import { OutcomeLine, useOutcome } from "../../components/admin/outcome";
import { Cell, Records } from "../../components/admin/records";
import { ScopeFields, scopeIn, scopeText } from "../../components/admin/scope-fields";
import { SecretDialog } from "../../components/admin/secret-dialog";
import { ConfirmDialog, FormDialog } from "../../components/dialog";
import { Icon } from "../../components/icon";
import { useAction } from "../../components/use-action";
import { formats, t } from "../../i18n";
import type { Key } from "../../model/admin/accounts";
import { expiryOf } from "../../model/admin/accounts";

/** In days; empty for ever. */
const LIFETIMES = ["30", "90", "365", ""] as const;
const USUAL_LIFETIME = "90";
type Open = { readonly task: "add" } | { readonly task: "rotate" | "revoke"; readonly key: Key } | { readonly task: "show"; readonly created: CreatedKey };

/** The API keys of programs and devices. A key itself is shown once, when it is made. */
export function KeysPage(): JSX.Element {
  const { api } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const keys = useSignal<readonly Key[] | null>(null);
  const open = useSignal<Open | null>(null);
  const loading = useAction();
  const outcome = useOutcome();
  const load = (): Promise<boolean> => loading.run(async () => (keys.value = await admin.keys()));
  useEffect(() => void load(), []);
  const close = (): void => {
    open.value = null;
  };
  const show = async (created: CreatedKey): Promise<void> => {
    open.value = { task: "show", created };
    await load();
  };
  const shown = open.value;
  return (
    <>
      <div class="intro">
        <p class="muted">{t("keys.intro")}</p>
        <button type="button" class="primary" onClick={() => (open.value = { task: "add" })}><Icon name="discovery" />{t("keys.add")}</button>
      </div>
      <OutcomeLine outcome={outcome} />
      {loading.error.value && <p class="error" role="alert">{loading.error.value}</p>}
      {keys.value === null ? !loading.error.value && <p class="waiting">{t("app.loading")}</p> : keys.value.length === 0 ? (
        <section class="panel"><p>{t("keys.none")}</p></section>
      ) : (
        <Records label={t("admin.tab.keys")} columns={[t("keys.name"), t("keys.rights"), t("admin.scope"), t("keys.expires"), t("keys.by"), t("admin.actions")]}>
          {keys.value.map((key) => <Row key={key.id} of={key} onTask={(task) => (open.value = { task, key })} />)}
        </Records>
      )}
      {shown?.task === "add" && <AddDialog admin={admin} onClose={close} onDone={show} />}
      {shown?.task === "show" && <SecretDialog created={shown.created} onClose={close} />}
      {shown?.task === "rotate" && (
        <ConfirmDialog title={t("keys.rotate.title", { name: shown.key.name })} action={t("keys.rotate")} onConfirm={async () => show(await admin.rotateKey(shown.key.id))} onClose={close}>
          <p>{t("keys.rotate.more")}</p>
        </ConfirmDialog>
      )}
      {shown?.task === "revoke" && (
        <ConfirmDialog title={t("keys.revoke.title", { name: shown.key.name })} action={t("keys.revoke")} onClose={close}
          onConfirm={async () => {
            await admin.revokeKey(shown.key.id);
            close();
            await load();
            outcome.tell(t("keys.revoked", { name: shown.key.name }));
          }}>
          <p>{t("keys.revoke.more")}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

function Row({ of: key, onTask }: { readonly of: Key; readonly onTask: (task: "rotate" | "revoke") => void }): JSX.Element {
  const { now } = useStore();
  const expiry = expiryOf(key, now.peek());
  const rights = key.rights.map((one) => rightText(one)).join(", ");
  return (
    <tr role="row" data-muted={expiry === "expired"}>
      <Cell name={t("keys.name")} class="name">
        <strong>{key.name}</strong>
        {key.kind === "device" && <span class="tag">{t("keys.device")}</span>}
        <span class="code muted small">{key.id}</span>
      </Cell>
      <Cell name={t("keys.rights")} class="wide">{rights}</Cell>
      <Cell name={t("admin.scope")} class="wide">{scopeText(key.scope)}</Cell>
      <Cell name={t("keys.expires")}>
        {key.expires === null ? t("keys.never") : (
          <span data-expiry={expiry}>
            {expiry !== "later" && <><Icon name="warning" /> </>}
            {formats.value.day(key.expires)}
            {expiry !== "later" && ` (${t(`keys.expiry.${expiry === "expired" ? "expired" : "soon"}`)})`}
          </span>
        )}
      </Cell>
      <Cell name={t("keys.by")}>{key.by.replace(/^person:/, "") || t("value.none")}</Cell>
      <Cell name={t("admin.actions")} class="actions">
        <button type="button" aria-label={`${t("keys.rotate")}: ${key.name}`} onClick={() => onTask("rotate")}>{t("keys.rotate")}</button>
        <button type="button" aria-label={`${t("keys.revoke")}: ${key.name}`} onClick={() => onTask("revoke")}>{t("keys.revoke")}</button>
      </Cell>
    </tr>
  );
}

function rightText(right: string): string {
  const known = PERMISSIONS.find((one) => one === right);
  return known ? t(`keys.right.${known}`) : right;
}

interface AddProps {
  readonly admin: AdminClient;
  readonly onClose: () => void;
  readonly onDone: (created: CreatedKey) => Promise<void>;
}

function AddDialog({ admin, onClose, onDone }: AddProps): JSX.Element {
  const isOfDevice = useSignal(false);
  const rights = useSignal<ReadonlySet<Permission>>(new Set(["see"]));
  const toggle = (right: Permission): void => {
    const changed = new Set(rights.value);
    if (!changed.delete(right)) changed.add(right);
    rights.value = changed;
  };
  const add = async (form: FormData): Promise<void> => {
    const chosen = PERMISSIONS.filter((one) => rights.value.has(one));
    if (!isOfDevice.value && chosen.length === 0) throw new Error(t("keys.rights.empty"));
    const scope = isOfDevice.value || rights.value.has("administer") ? null : scopeIn(form);
    const days = Number(form.get("days"));
    await onDone(await admin.addKey({ name: String(form.get("name")).trim(), isOfDevice: isOfDevice.value, rights: chosen, scope, days: days > 0 ? days : null }));
  };
  return (
    <FormDialog title={t("keys.add")} action={t("keys.create")} onSubmit={add} onClose={onClose}>
      <fieldset>
        <legend>{t("keys.for")}</legend>
        {[false, true].map((one) => (
          <label key={String(one)} class="check">
            <input type="radio" name="kind" checked={isOfDevice.value === one} onChange={() => (isOfDevice.value = one)} />
            <span>{t(one ? "keys.for.device" : "keys.for.program")}</span>
          </label>
        ))}
      </fieldset>
      <label>
        <span>{t(isOfDevice.value ? "keys.deviceId" : "keys.name")}</span>
        <input name="name" required autoFocus maxLength={128} autoComplete="off" autoCapitalize="none" spellcheck={false} />
      </label>
      {!isOfDevice.value && (
        <>
          <fieldset>
            <legend>{t("keys.rights")}</legend>
            {PERMISSIONS.map((one) => (
              <label key={one} class="check">
                <input type="checkbox" checked={rights.value.has(one)} onChange={() => toggle(one)} />
                <span>{t(`keys.right.${one}`)}</span>
              </label>
            ))}
          </fieldset>
          {!rights.value.has("administer") && <ScopeFields scope={null} />}
        </>
      )}
      <label>
        <span>{t("keys.expires")}</span>
        <select name="days">
          {LIFETIMES.map((days) => <option key={days} value={days} selected={days === USUAL_LIFETIME}>{days === "" ? t("keys.never") : t("keys.days", { count: Number(days) })}</option>)}
        </select>
      </label>
    </FormDialog>
  );
}
