import type { JSX } from "preact";

import { useApp } from "../../app/context";
import { t } from "../../i18n";
import type { AdminTab } from "../../model/admin/sections";
import { allowedTabs, mayAdminister } from "../../model/admin/sections";
import { hrefOf } from "../../model/route";
import "../../style/admin.css";

/** The way between the views of admins, public links and the audit log among them. */
export function AdminTabs({ current }: { readonly current: AdminTab | "links" | "audit" }): JSX.Element {
  const { session } = useApp();
  const tabs = allowedTabs(session).map((tab) => [t(`admin.tab.${tab}`), tab, hrefOf({ page: "admin", tab })] as const);
  const others = [[t("nav.links"), "links", hrefOf({ page: "links" })], [t("nav.audit"), "audit", hrefOf({ page: "audit" })]] as const;
  return (
    <ul class="tabs" aria-label={t("admin.views")}>
      {[...tabs, ...(mayAdminister(session) ? others : [])].map(([label, tab, href]) => (
        <li key={tab}><a href={href} aria-current={tab === current ? "page" : undefined}>{label}</a></li>
      ))}
    </ul>
  );
}
