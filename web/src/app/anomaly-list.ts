import type { AnomalyQuery } from "../api/client";
import type { Anomaly } from "../model/analysis/anomaly";
import { MINUTE } from "../model/history/time-range";
import type { App } from "./app";
import { PagedList } from "./paged-list";

/** Events tell of changes at once; this is for pages without a live connection. */
const INTERVAL_MS = MINUTE;

/** Anomalies of all devices or of one, loaded again whenever one of them changes, and after a lost connection. */
export class AnomalyList {
  readonly list: PagedList<Anomaly, AnomalyQuery>;
  readonly #stop: () => void;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor({ api, store, sync }: App, query: AnomalyQuery) {
    const watched = (): AnomalyQuery => {
      store.historyVersion.value;
      return query;
    };
    this.list = new PagedList(watched, (asked, before) => api.anomalies({ ...asked, before }));
    this.#stop = sync.anomalies.add((deviceId) => {
      if (query.device === undefined || query.device === deviceId) this.list.refresh();
    });
    this.#timer = setInterval(() => {
      if (!document.hidden) this.list.refresh();
    }, INTERVAL_MS);
  }

  close(): void {
    this.#stop();
    this.list.close();
    clearInterval(this.#timer);
  }
}
