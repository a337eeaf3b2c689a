import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { AdminClient } from "../../api/admin-client";
import { useApp } from "../../app/context";
import { OutcomeLine, useOutcome } from "../../components/admin/outcome";
import { Cell, Records } from "../../components/admin/records";
import { ConfirmDialog, FormDialog } from "../../components/dialog";
import { Icon } from "../../components/icon";
import { useAction } from "../../components/use-action";
import { formats, t } from "../../i18n";
import { reasonOf } from "../../i18n/reason-text";
import type { SubscriptionItem } from "../../model/bridge/discovery";
import { hrefOf } from "../../model/route";

const POLL_MS = 5000;
const COMMON_FORMATS = ["auto", "json", "scalar", "tasmota", "zigbee2mqtt", "esphome", "homeassistant", "shelly", "homie", "sparkplug", "influx", "senml", "cbor", "msgpack"];

/** The topics that the bridge reads, and what each brings in. */
export function SubscriptionsPage(): JSX.Element {
  const { api } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const items = useSignal<readonly SubscriptionItem[] | null>(null);
  const open = useSignal<"add" | SubscriptionItem | null>(null);
  const loading = useAction();
  const outcome = useOutcome();
  const load = (): Promise<boolean> => loading.run(async () => (items.value = await api.subscriptions()));
  useEffect(() => {
    void load();
    const timer = setInterval(() => void (document.hidden || load()), POLL_MS);
    return () => clearInterval(timer);
  }, []);
  const close = (): void => {
    open.value = null;
  };
  const done = async (text: string): Promise<void> => {
    close();
    items.value = await api.subscriptions();
    outcome.tell(text);
  };
  const add = async (form: FormData): Promise<void> => {
    const [pattern, format] = [String(form.get("pattern")).trim(), String(form.get("format")).trim() || "auto"];
    await admin.addSubscription({ pattern, format });
    await done(t("subscriptions.added", { pattern }));
  };
  const shown = open.value;
  return (
    <>
      <div class="intro">
        <p class="muted">{t("subscriptions.intro")} <a href={hrefOf({ page: "discovery" })}>{t("subscriptions.discover")}</a></p>
        <button type="button" class="primary" onClick={() => (open.value = "add")}><Icon name="discovery" />{t("subscriptions.add")}</button>
      </div>
      <OutcomeLine outcome={outcome} />
      {loading.error.value && <p class="error" role="alert">{loading.error.value}</p>}
      {items.value === null ? !loading.error.value && <p class="waiting">{t("app.loading")}</p> : items.value.length === 0 ? (
        <section class="panel"><p>{t("subscriptions.none")}</p></section>
      ) : (
        <Records label={t("admin.tab.subscriptions")} columns={[t("subscriptions.pattern"), t("subscriptions.format"), t("subscriptions.perMinute"), t("subscriptions.messages"), t("subscriptions.origin"), t("admin.actions")]}>
          {items.value.map((one) => <Row key={one.id ?? `file ${one.pattern}`} item={one} onRemove={() => (open.value = one)} />)}
        </Records>
      )}
      {shown === "add" && (
        <FormDialog title={t("subscriptions.add")} action={t("admin.add")} onSubmit={add} onClose={close}>
          <label>
            <span>{t("subscriptions.pattern")}</span>
            <input name="pattern" class="code" required autoFocus maxLength={1024} autoComplete="off" autoCapitalize="none" spellcheck={false} placeholder="tele/{deviceId}/SENSOR" />
          </label>
          <p class="hint">{t("subscriptions.pattern.hint", { device: "{deviceId}" })}</p>
          <label>
            <span>{t("subscriptions.format")}</span>
            <input name="format" maxLength={64} defaultValue="auto" list="formats" autoComplete="off" autoCapitalize="none" spellcheck={false} />
          </label>
          <datalist id="formats">{COMMON_FORMATS.map((one) => <option key={one} value={one} />)}</datalist>
          <p class="hint">{t("subscriptions.format.hint")}</p>
        </FormDialog>
      )}
      {shown !== null && shown !== "add" && (
        <ConfirmDialog title={t("subscriptions.remove.title", { pattern: shown.pattern })} action={t("admin.remove")} onClose={close}
          onConfirm={async () => {
            await api.removeSubscription(shown.id ?? "");
            await done(t("subscriptions.removed", { pattern: shown.pattern }));
          }}>
          <p>{t("subscriptions.remove.more")}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

function Row({ item, onRemove }: { readonly item: SubscriptionItem; readonly onRemove: () => void }): JSX.Element {
  const { id, pattern, kind, format, refused, cause, messages, perMinute } = item;
  return (
    <tr role="row">
      <Cell name={t("subscriptions.pattern")} class="name">
        <span class="code">{pattern}</span>
        {refused && <span class="error small"><Icon name="warning" /> {t("discovery.refused", { reason: reasonOf({ reason: refused, ...(cause ? { cause } : {}) }) })}</span>}
      </Cell>
      <Cell name={t("subscriptions.format")}>{kind === "readings" ? format : kind}</Cell>
      <Cell name={t("subscriptions.perMinute")} class="figure">{perMinute === null ? t("value.none") : formats.value.rate(perMinute)}</Cell>
      <Cell name={t("subscriptions.messages")} class="figure">{formats.value.count(messages)}</Cell>
      <Cell name={t("subscriptions.origin")}>{id === null ? <span class="muted">{t("discovery.inFile")}</span> : t("subscriptions.stored")}</Cell>
      <Cell name={t("admin.actions")} class="actions">
        {id === null ? null : <button type="button" aria-label={`${t("admin.remove")}: ${pattern}`} onClick={onRemove}>{t("admin.remove")}</button>}
      </Cell>
    </tr>
  );
}
