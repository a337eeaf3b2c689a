import type { Device } from "../model/devices/device";
import type { Judgements } from "../model/devices/judgement";
import { primaryValues } from "../model/devices/primary-values";
import type { Trends } from "../model/history/trend";
import { SLOTS, SLOT_MS } from "../model/history/trend";
import type { Measurement } from "../model/wire";
import type { ApiClient } from "./client";

const GATHER_MS = 120;
const RETRY_MS = 5000;
/** Of the ids in the URL of a request, whose first line may have 8,190 characters. An id has up to 1,536. */
const MAX_ENCODED_LENGTH = 6000;

type Table = () => readonly Measurement[];
type Clock = () => number;
type Load = (devices: readonly Device[]) => Promise<void>;

/** Loads history for devices that come on screen, in batches, the most recently requested first. */
export class HistoryLoader {
  readonly #load: Load;
  readonly #batchSize: number;
  readonly #requested = new Map<string, Device>();
  #isLoading = false;

  constructor(load: Load, batchSize: number) {
    this.#load = load;
    this.#batchSize = batchSize;
  }

  /** Returns a function that cancels the request, for a card that was scrolled past. */
  request(device: Device): () => void {
    this.#requested.set(device.id, device);
    void this.#run();
    return () => this.#requested.delete(device.id);
  }

  async #run(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    while (this.#requested.size > 0) {
      await delay(GATHER_MS);
      const devices = nextBatch([...this.#requested.values()], this.#batchSize);
      const isLoaded = devices.length === 0 || (await this.#load(devices).then(() => true, () => false));
      if (isLoaded) for (const { id } of devices) this.#requested.delete(id);
      else await delay(RETRY_MS);
    }
    this.#isLoading = false;
  }
}

/** The last `size` devices, or as many of them as one URL can name. */
export function nextBatch(devices: readonly Device[], size: number): readonly Device[] {
  const batch: Device[] = [];
  let length = 0;
  for (const device of devices.slice(-size).reverse()) {
    length += new URLSearchParams({ device: device.id }).toString().length + 1;
    if (length > MAX_ENCODED_LENGTH) break;
    batch.unshift(device);
  }
  return batch;
}

/** Loads the last hour of the fields shown on the devices' cards. */
export function trendLoader(api: ApiClient, trends: Trends, now: Clock, table: Table, judgements: (device: Device) => Judgements): Load {
  return async (devices) => {
    const to = now();
    const ids = devices.map(({ id }) => id);
    const shown = new Set(devices.flatMap((device) => primaryValues(device, loaded(table), judgements(device)).map(({ measurement }) => measurement.name)));
    const fields = loaded(table).flatMap(({ name }) => (shown.has(name) ? [name] : []));
    const from = to - (SLOTS - 1) * SLOT_MS;
    const buckets = fields.length === 0 ? [] : await api.history({ devices: ids, from, to, step: SLOT_MS, fields });
    trends.load(ids, buckets, to);
  };
}

function loaded(table: Table): readonly Measurement[] {
  if (table().length === 0) throw new Error("the table of measurements is not loaded yet");
  return table();
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
