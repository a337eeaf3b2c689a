import type { Device } from "../../model/devices/device";
import type { RankedDevice, StatusFilter } from "../../model/devices/ranking";
import { matches } from "../../model/devices/ranking";
import { roomKey } from "../../model/history/series";
import type { Route } from "../../model/route";
import { readParam } from "../../model/view-param";

const STATUSES: readonly StatusFilter[] = ["all", "attention", "offline"];

/** The devices that a view shows, which a public link to it may read. Null for views that have no such link. */
export function devicesOf(route: Route, query: string | null, ranked: readonly RankedDevice[]): readonly Device[] | null {
  const all = ranked.map(({ device }) => device);
  switch (route.page) {
    case "overview": {
      const status = STATUSES.find((one) => one === readParam(query, "status")) ?? "all";
      const text = readParam(query, "q") ?? "";
      return ranked.filter((one) => matches(one, { text, status })).map(({ device }) => device);
    }
    case "device": {
      const compared = new Set((readParam(query, "compare") ?? "").split(","));
      return all.filter(({ id, record }) => id === route.id || record?.partOf === route.id || compared.has(id));
    }
    case "feed": {
      const text = (readParam(query, "device") ?? "").trim().toLowerCase();
      return all.filter(({ id }) => id.toLowerCase().includes(text));
    }
    case "measurement":
      return all.filter(({ entries }) => entries.has(route.name));
    case "compare": {
      const keys = new Set((readParam(query, "with") ?? "").split(","));
      return all.filter(({ id, record }) => keys.has(id) || (record?.room != null && keys.has(roomKey(record.room))));
    }
    default:
      return null;
  }
}
