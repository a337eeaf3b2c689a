import type { ApiClient } from "../api/client";
import { HistoryLoader, hourlyMeanLoader, trendLoader } from "../api/history-loader";
import type { Device } from "../model/devices/device";
import { needsHourlyMeans } from "../model/devices/device-assessment";
import type { Measurement } from "../model/wire";
import type { Painter } from "./paint";
import type { Store } from "./store";

const TREND_BATCH_SIZE = 25;
const HOURLY_MEAN_BATCH_SIZE = 10;

/** Loads the history that cards and assessments need, for devices on screen only. */
export class OnScreenHistory {
  readonly #store: Store;
  readonly #trendLoader: HistoryLoader;
  readonly #hourlyMeanLoader: HistoryLoader;

  constructor(store: Store, painter: Painter, api: ApiClient) {
    this.#store = store;
    const now = (): number => store.bridgeNow();
    const table = (): readonly Measurement[] => store.table.peek();
    const thenPaint = (load: (devices: readonly Device[]) => Promise<void>) => async (devices: readonly Device[]) => {
      await load(devices);
      painter.historyLoaded(devices.map(({ id }) => id));
    };
    this.#trendLoader = new HistoryLoader(thenPaint(trendLoader(api, store.trends, now, table)), TREND_BATCH_SIZE);
    this.#hourlyMeanLoader = new HistoryLoader(thenPaint(hourlyMeanLoader(api, store.hourlyMeans, now, table)), HOURLY_MEAN_BATCH_SIZE);
  }

  /** Requests the last hour, for sparklines. Returns a function that cancels the request. */
  requestTrend(device: Device): () => void {
    return this.#store.trends.has(device.id) ? () => undefined : this.#trendLoader.request(device);
  }

  /** Requests the hourly means of the last day, for assessments. Returns a function that cancels the request. */
  requestHourlyMeans(device: Device): () => void {
    const isCurrent = !needsHourlyMeans(device) || this.#store.hourlyMeans.isCurrent(device.id, this.#store.bridgeNow());
    return isCurrent ? () => undefined : this.#hourlyMeanLoader.request(device);
  }
}
