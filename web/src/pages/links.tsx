import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { useApp, useStore } from "../app/context";
import { Cell, Records } from "../components/admin/records";
import { ConfirmDialog } from "../components/dialog";
import { errorText } from "../components/error-text";
import { formats, t } from "../i18n";
import type { SharedLink } from "../model/shared-link";
import { AdminTabs } from "./admin/tabs";

/** The public links, for admins; the bridge refuses others. */
export function LinksPage(): JSX.Element {
  const { api } = useApp();
  const links = useSignal<readonly SharedLink[] | null>(null);
  const error = useSignal("");
  const revoked = useSignal<SharedLink | null>(null);
  const attempt = async (action: () => Promise<unknown>): Promise<void> => {
    error.value = "";
    try {
      await action();
      links.value = await api.sharedLinks();
    } catch (failure) {
      error.value = t("links.failed", { error: errorText(failure) });
    }
  };
  useEffect(() => void attempt(() => Promise.resolve()), []);
  const revoke = async ({ id }: SharedLink): Promise<void> => {
    await api.revokeSharedLink(id);
    revoked.value = null;
    await attempt(() => Promise.resolve());
  };
  return (
    <div class="admin">
      <header>
        <h1>{t("links.title")}</h1>
        <AdminTabs current="links" />
      </header>
      <p class="muted">{t("links.intro")}</p>
      {error.value && <p class="error" role="alert">{error.value}</p>}
      {links.value === null && !error.value && <p class="waiting">{t("app.loading")}</p>}
      {links.value?.length === 0 && <p class="waiting" role="status">{t("links.none")}</p>}
      {links.value !== null && links.value.length > 0 && <Links links={links.value} onRevoke={(link) => (revoked.value = link)} />}
      {revoked.value && <Confirmation link={revoked.value} onRevoke={revoke} onClose={() => (revoked.value = null)} />}
    </div>
  );
}

function Links({ links, onRevoke }: { links: readonly SharedLink[]; onRevoke: (link: SharedLink) => void }): JSX.Element {
  const columns = ["links.view", "links.shows", "links.by", "links.until", "admin.actions"] as const;
  return (
    <Records label={t("links.title")} columns={columns.map((name) => t(name))}>
      {links.map((one) => <Row key={one.id} link={one} onRevoke={onRevoke} />)}
    </Records>
  );
}

function Row({ link, onRevoke }: { link: SharedLink; onRevoke: (link: SharedLink) => void }): JSX.Element {
  const store = useStore();
  const { title, view, devices, sites, by, expires } = link;
  const hasExpired = expires !== null && expires <= store.bridgeNow();
  const shown = [...devices.map((id) => store.device(id)?.name ?? id), ...sites];
  return (
    <tr role="row" data-muted={hasExpired}>
      <Cell name={t("links.view")} class="name"><a href={view}>{title}</a></Cell>
      <Cell name={t("links.shows")} class="wide">{formats.value.list(shown)}</Cell>
      <Cell name={t("links.by")}>{by.replace(/^person:/, "")}</Cell>
      <Cell name={t("links.until")}>
        {expires !== null && <span><time dateTime={new Date(expires).toISOString()}>{formats.value.full(expires)}</time>{hasExpired && ` (${t("links.expired")})`}</span>}
      </Cell>
      <Cell name={t("admin.actions")} class="actions"><button type="button" aria-label={t("links.revoke.label", { title })} onClick={() => onRevoke(link)}>{t("links.revoke")}</button></Cell>
    </tr>
  );
}

interface ConfirmationProps {
  readonly link: SharedLink;
  readonly onRevoke: (link: SharedLink) => Promise<void>;
  readonly onClose: () => void;
}

function Confirmation({ link, onRevoke, onClose }: ConfirmationProps): JSX.Element {
  return (
    <ConfirmDialog title={t("links.revoke")} action={t("links.revoke")} onConfirm={() => onRevoke(link)} onClose={onClose}>
      <p>{t("links.revoke.confirm", { title: link.title })}</p>
    </ConfirmDialog>
  );
}
