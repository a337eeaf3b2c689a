/** The views for those who run the bridge, in the order of their tabs. Public links and the audit log have pages of their own. */

import type { AuthSession } from "../../auth/session";

export const ADMIN_TABS = ["people", "keys", "devices", "subscriptions", "retention"] as const;
export type AdminTab = (typeof ADMIN_TABS)[number];

/** Those that this session may use; the bridge decides, and refuses the others. */
export function allowedTabs(session: Pick<AuthSession, "state" | "can" | "seesAllDevices">): readonly AdminTab[] {
  const mayManage = session.can("manage");
  const may: Readonly<Record<AdminTab, boolean>> = {
    people: mayAdminister(session),
    keys: mayAdminister(session),
    devices: mayManage,
    subscriptions: mayManage && session.seesAllDevices,
    retention: mayManage && session.seesAllDevices,
  };
  return ADMIN_TABS.filter((tab) => may[tab]);
}

/** Without authentication nobody has a name: there are no people, keys and audit log. */
export function mayAdminister(session: Pick<AuthSession, "state" | "can">): boolean {
  return session.state.value.kind === "loggedIn" && session.can("administer");
}
