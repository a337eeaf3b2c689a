import type { AlarmQuery } from "../api/client";
import type { Alarm } from "../model/alarms/alarm";
import type { App } from "./app";
import { PagedList } from "./paged-list";

export type AlarmList = PagedList<Alarm, AlarmQuery>;

/** A list of alarms, loaded again whenever any alarm changes. `query` may read signals. */
export function alarmList(app: App, query: () => AlarmQuery): AlarmList {
  const watched = (): AlarmQuery => {
    app.store.alarms.value;
    return query();
  };
  return new PagedList(watched, async (asked, before) => {
    const { alarms, next } = await app.api.alarms({ ...asked, before });
    return { items: alarms, next };
  });
}
