import type { JSX } from "preact";

import { useApp } from "../../app/context";
import { t } from "../../i18n";
import type { AdminTab } from "../../model/admin/sections";
import { allowedTabs, mayAdminister } from "../../model/admin/sections";
import { hrefOf } from "../../model/route";
import "../../style/admin.css";

/** The way between the views of admins, the audit log among them. */
export function AdminTabs({ current }: { readonly current: AdminTab | "audit" }): JSX.Element {
  const { session } = useApp();
  const tabs = allowedTabs(session).map((tab) => [tab, hrefOf({ page: "admin", tab })] as const);
  const all = mayAdminister(session) ? [...tabs, ["audit", hrefOf({ page: "audit" })] as const] : tabs;
  return (
    <ul class="tabs" aria-label={t("admin.views")}>
      {all.map(([tab, href]) => (
        <li key={tab}><a href={href} aria-current={tab === current ? "page" : undefined}>{tab === "audit" ? t("nav.audit") : t(`admin.tab.${tab}`)}</a></li>
      ))}
    </ul>
  );
}
