import type { JSX } from "preact";

import { useApp } from "../../app/context";
import { lazy } from "../../components/lazy";
import { t } from "../../i18n";
import type { AdminTab } from "../../model/admin/sections";
import { allowedTabs } from "../../model/admin/sections";
import { AdminTabs } from "./tabs";

const PAGES: Readonly<Record<AdminTab, (props: object) => JSX.Element>> = {
  people: lazy(async () => (await import("./people")).PeoplePage),
  keys: lazy(async () => (await import("./keys")).KeysPage),
  devices: lazy(async () => (await import("./devices")).DevicesPage),
  subscriptions: lazy(async () => (await import("./subscriptions")).SubscriptionsPage),
  retention: lazy(async () => (await import("./retention")).RetentionPage),
};

/** The views for those who run the bridge. Without a tab, the first that the session may use. */
export function AdminPage({ tab }: { readonly tab: AdminTab | null }): JSX.Element {
  const { session } = useApp();
  const allowed = allowedTabs(session);
  const shown = tab ?? allowed[0] ?? "people";
  const Page = PAGES[shown];
  return (
    <div class="admin">
      <header>
        <h1>{t(`admin.tab.${shown}`)}</h1>
        <AdminTabs current={shown} />
      </header>
      {allowed.includes(shown) ? <Page key={shown} /> : <Forbidden tab={shown} />}
    </div>
  );
}

function Forbidden({ tab }: { readonly tab: AdminTab }): JSX.Element {
  const { session } = useApp();
  const isOpen = session.state.value.kind === "open";
  return (
    <section class="panel">
      <p>{t(isOpen && (tab === "people" || tab === "keys") ? "admin.open" : "auth.forbidden")}</p>
    </section>
  );
}
