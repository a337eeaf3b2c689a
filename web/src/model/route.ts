/** The page's routes, in the fragment of the address. */

import type { AdminTab } from "./admin/sections";
import { ADMIN_TABS } from "./admin/sections";

export const ALARM_TABS = ["standing", "history", "hidden", "figures"] as const;
export type AlarmTab = (typeof ALARM_TABS)[number];

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "device"; readonly id: string }
  | { readonly page: "feed"; readonly device: string }
  | { readonly page: "discovery" }
  | { readonly page: "alarms"; readonly tab: AlarmTab }
  | { readonly page: "health" }
  | { readonly page: "admin"; readonly tab: AdminTab | null }
  | { readonly page: "audit" }
  | { readonly page: "notFound" };

/** How the link for the first admin begins, which leads to the overview. */
const SETUP = "setup=";

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/").filter(Boolean);
  if ((page === "" && rest.length === 0) || page.startsWith(SETUP)) return { page: "overview" };
  if (page === "device" && rest.length === 1) {
    const id = decode(rest[0] ?? "");
    return id ? { page: "device", id } : { page: "notFound" };
  }
  if (page === "feed" && rest.length === 0) return { page: "feed", device: new URLSearchParams(query).get("device") ?? "" };
  if (page === "alarms" && rest.length <= 1) {
    const tab = ALARM_TABS.find((one) => one === (rest[0] ?? "standing"));
    return tab ? { page, tab } : { page: "notFound" };
  }
  if (page === "admin" && rest.length <= 1) {
    const tab = ADMIN_TABS.find((one) => one === rest[0]) ?? null;
    return tab === null && rest.length > 0 ? { page: "notFound" } : { page, tab };
  }
  if ((page === "discovery" || page === "health" || page === "audit") && rest.length === 0) return { page };
  return { page: "notFound" };
}

export function hrefOf(route: Route): string {
  switch (route.page) {
    case "device":
      return `#/device/${encodeURIComponent(route.id)}`;
    case "feed":
      return route.device ? `#/feed?${new URLSearchParams({ device: route.device })}` : "#/feed";
    case "alarms":
      return route.tab === "standing" ? "#/alarms" : `#/alarms/${route.tab}`;
    case "admin":
      return route.tab === null ? "#/admin" : `#/admin/${route.tab}`;
    case "discovery":
    case "health":
    case "audit":
      return `#/${route.page}`;
    default:
      return "#/";
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
