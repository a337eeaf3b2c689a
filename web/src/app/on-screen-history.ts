import type { ApiClient } from "../api/client";
import { HistoryLoader, trendLoader } from "../api/history-loader";
import type { Device } from "../model/devices/device";
import type { Measurement } from "../model/wire";
import type { Painter } from "./paint";
import type { Store } from "./store";

const TREND_BATCH_SIZE = 25;

/** Loads the history that cards need, for devices on screen only. */
export class OnScreenHistory {
  readonly #store: Store;
  readonly #trendLoader: HistoryLoader;

  constructor(store: Store, painter: Painter, api: ApiClient) {
    this.#store = store;
    const now = (): number => store.bridgeNow();
    const table = (): readonly Measurement[] => store.table.peek();
    const load = trendLoader(api, store.trends, now, table, (device) => store.judgements(device));
    this.#trendLoader = new HistoryLoader(async (devices) => {
      await load(devices);
      painter.historyLoaded(devices.map(({ id }) => id));
    }, TREND_BATCH_SIZE);
  }

  /** Requests the last hour, for sparklines. Returns a function that cancels the request. */
  requestTrend(device: Device): () => void {
    return this.#store.trends.has(device.id) ? () => undefined : this.#trendLoader.request(device);
  }
}
