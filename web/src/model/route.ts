/** The page's routes, in the path of the address's fragment; what is chosen on a page is in its query (`view-param.ts`). */

import { formatFragment, parseFragment, writeParam } from "./view-param";

import type { AdminTab } from "./admin/sections";
import { ADMIN_TABS } from "./admin/sections";

export const ALARM_TABS = ["standing", "history", "hidden", "figures"] as const;
export type AlarmTab = (typeof ALARM_TABS)[number];

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "device"; readonly id: string }
  | { readonly page: "compare" }
  | { readonly page: "measurement"; readonly name: string }
  | { readonly page: "feed" }
  | { readonly page: "discovery" }
  | { readonly page: "alarms"; readonly tab: AlarmTab }
  | { readonly page: "health" }
  | { readonly page: "admin"; readonly tab: AdminTab | null }
  | { readonly page: "audit" }
  | { readonly page: "links" }
  | { readonly page: "notFound" };

/** How the link for the first admin begins, which leads to the overview. */
const SETUP = "setup=";

export function parseRoute(hash: string): Route {
  const path = parseFragment(hash).path.replace(/^#/, "");
  const [page = "", ...rest] = path.split("/").filter(Boolean);
  if ((page === "" && rest.length === 0) || page.startsWith(SETUP)) return { page: "overview" };
  if (page === "device" && rest.length === 1) {
    const id = decode(rest[0] ?? "");
    return id ? { page: "device", id } : { page: "notFound" };
  }
  if (page === "measurement" && rest.length === 1) {
    const name = decode(rest[0] ?? "");
    return /^\w{1,64}$/.test(name) ? { page, name } : { page: "notFound" };
  }
  if (page === "alarms" && rest.length <= 1) {
    const tab = ALARM_TABS.find((one) => one === (rest[0] ?? "standing"));
    return tab ? { page, tab } : { page: "notFound" };
  }
  if (page === "admin" && rest.length === 1 && rest[0] === "links") return { page: "links" };
  if (page === "admin" && rest.length <= 1) {
    const tab = ADMIN_TABS.find((one) => one === rest[0]) ?? null;
    return tab === null && rest.length > 0 ? { page: "notFound" } : { page, tab };
  }
  if ((page === "compare" || page === "feed" || page === "discovery" || page === "health" || page === "audit") && rest.length === 0) return { page };
  return { page: "notFound" };
}

/** The link to a page, with choices made there by the names and texts of their parameters. */
export function hrefOf(route: Route, choices: Readonly<Record<string, string>> = {}): string {
  const query = Object.entries(choices).reduce<string | null>((written, [name, text]) => writeParam(written, name, text), null);
  return formatFragment({ path: pathOf(route), query });
}

function pathOf(route: Route): string {
  switch (route.page) {
    case "device":
      return `#/device/${encodeURIComponent(route.id)}`;
    case "links":
      return "#/admin/links";
    case "alarms":
      return route.tab === "standing" ? "#/alarms" : `#/alarms/${route.tab}`;
    case "admin":
      return route.tab === null ? "#/admin" : `#/admin/${route.tab}`;
    case "measurement":
      return `#/measurement/${route.name}`;
    case "compare":
    case "feed":
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
