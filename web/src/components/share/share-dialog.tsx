import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useApp, useStore } from "../../app/context";
import { viewAddress } from "../../app/view-state";
import { formats, t } from "../../i18n";
import type { Route } from "../../model/route";
import { hrefOf } from "../../model/route";
import type { LinkScope } from "../../model/shared-link";
import { DAYS, DEFAULT_DAYS, MAX_TITLE_LENGTH, scopeFor } from "../../model/shared-link";
import { LINK, formatFragment, parseFragment, writeParam } from "../../model/view-param";
import { copyText } from "../clipboard";
import { Dialog } from "../dialog";
import { errorText } from "../error-text";
import { Icon } from "../icon";
import "../../style/share.css";
import { devicesOf } from "./shown-devices";

const MAX_NAMED = 4;

/** The address of the view to copy, and for admins where a login is required, a public link to it. */
export function ShareDialog({ route, onClose }: { route: Route; onClose: () => void }): JSX.Element {
  const { session } = useApp();
  const isGuarded = session.state.value.kind === "loggedIn";
  return (
    <Dialog title={t("share.title")} onClose={onClose}>
      <div class="share">
        <Copyable label={t("share.address")} text={addressOf(viewAddress().forOthers())} />
        <p class="muted small">{t(isGuarded ? "share.address.login" : "share.address.open")}</p>
        {isGuarded && session.can("administer") && <PublicLink route={route} onLeave={onClose} />}
        <div class="buttons">
          <button type="button" onClick={onClose}>{t("dialog.close")}</button>
        </div>
      </div>
    </Dialog>
  );
}

function PublicLink({ route, onLeave }: { route: Route; onLeave: () => void }): JSX.Element | null {
  const { api } = useApp();
  const store = useStore();
  const days = useSignal<number>(DEFAULT_DAYS);
  const made = useSignal("");
  const error = useSignal("");
  const isBusy = useSignal(false);
  const devices = devicesOf(route, viewAddress().query.value, store.ranked.value);
  if (devices === null) return null;
  const scope = scopeFor(devices.map(({ id, record }) => ({ id, site: record?.site ?? "" })));
  const names = devices.length <= MAX_NAMED ? formats.value.list(devices.map(({ name }) => name)) : t("overview.devices", { count: devices.length });
  const first = devices[0];
  const title = (devices.length === 1 && first ? first.name : `${t(route.page === "feed" ? "nav.feed" : "nav.overview")}: ${names}`).slice(0, MAX_TITLE_LENGTH);
  const create = async ({ devices: ids, sites }: LinkScope): Promise<void> => {
    isBusy.value = true;
    error.value = "";
    const view = viewAddress().forOthers();
    try {
      const token = await api.addSharedLink({ title, view, devices: ids, sites, days: days.value });
      const { path, query } = parseFragment(view);
      made.value = addressOf(formatFragment({ path, query: writeParam(query, LINK, token) }));
    } catch (failure) {
      error.value = errorText(failure);
    }
    isBusy.value = false;
  };
  return (
    <section class="public" aria-labelledby="public-title">
      <h3 id="public-title">{t("share.public")}</h3>
      {scope === null ? (
        <p>{t("share.public.tooMany")}</p>
      ) : (
        <>
          <p class="small">{t("share.public.shows", { devices: names })}</p>
          {made.value === "" ? (
            <div class="row">
              <label>
                <span>{t("share.public.days")}</span>
                <select value={String(days.value)} onChange={(event) => (days.value = Number(event.currentTarget.value))}>
                  {DAYS.map((one) => <option key={one} value={one}>{t("share.days", { count: one })}</option>)}
                </select>
              </label>
              <button type="button" class="primary" disabled={isBusy.value} onClick={() => void create(scope)}>{t("share.public.create")}</button>
            </div>
          ) : (
            <>
              <Copyable label={t("share.public")} text={made.value} isNew />
              <p class="small" role="status">{t("share.public.once")}</p>
            </>
          )}
        </>
      )}
      {error.value && <p class="error" role="alert">{t("links.failed", { error: error.value })}</p>}
      <p class="small"><a href={hrefOf({ page: "links" })} onClick={onLeave}>{t("share.public.all")}</a></p>
    </section>
  );
}

function Copyable({ label, text, isNew = false }: { label: string; text: string; isNew?: boolean }): JSX.Element {
  const outcome = useSignal("");
  const copy = async (): Promise<void> => {
    outcome.value = t((await copyText(text)) ? "share.copied" : "feed.copyFailed");
  };
  return (
    <>
      <div class="row">
        <label class="address">
          <span>{label}</span>
          <input class="code" readOnly value={text} data-new={isNew} onFocus={(event) => event.currentTarget.select()} />
        </label>
        <button type="button" onClick={() => void copy()}><Icon name="copy" />{t("share.copy")}</button>
      </div>
      <p class="small" role="status">{outcome.value}</p>
    </>
  );
}

function addressOf(fragment: string): string {
  return new URL(fragment, location.href.replace(/#.*$/, "")).href;
}
