import type { Device } from "../model/device";
import { headlines } from "../model/headline";
import type { Trends } from "../model/trend";
import { SLOTS, SLOT_MS } from "../model/trend";
import type { Measurement } from "../model/wire";
import type { Http } from "./http";

const GATHER_MS = 120;
const AT_ONCE = 25;
const RETRY_MS = 5000;

/** Reads the last hour of the devices that come into sight, some together. */
export class TrendReader {
  readonly #http: Http;
  readonly #trends: Trends;
  readonly #now: () => number;
  readonly #table: () => readonly Measurement[];
  readonly #loaded: (deviceIds: readonly string[]) => void;
  readonly #wanted = new Map<string, Device>();
  #reading = false;

  constructor(http: Http, trends: Trends, now: () => number, table: () => readonly Measurement[], loaded: (ids: readonly string[]) => void) {
    this.#http = http;
    this.#trends = trends;
    this.#now = now;
    this.#table = table;
    this.#loaded = loaded;
  }

  /** Until what is returned is called: a card that was scrolled past needs none. */
  want(device: Device): () => void {
    if (!this.#trends.has(device.id)) {
      this.#wanted.set(device.id, device);
      void this.#read();
    }
    return () => this.#wanted.delete(device.id);
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    while (this.#wanted.size > 0) {
      await rest(GATHER_MS);
      const devices = [...this.#wanted.values()].slice(-AT_ONCE);
      if (devices.length > 0 && !(await this.#load(devices).then(() => true, () => false))) await rest(RETRY_MS);
    }
    this.#reading = false;
  }

  /** The fields that their cards show. */
  async #load(devices: readonly Device[]): Promise<void> {
    const now = this.#now();
    const table = this.#table();
    if (table.length === 0) throw new Error("the table is not known yet");
    const ids = devices.map(({ id }) => id);
    const shown = new Set(devices.flatMap((device) => headlines(device, table).map(({ measurement }) => measurement.name)));
    const fields = table.flatMap(({ name }) => (shown.has(name) ? [name] : []));
    const from = now - (SLOTS - 1) * SLOT_MS;
    const buckets = fields.length === 0 ? [] : await this.#http.history({ devices: ids, from, to: now, step: SLOT_MS, fields });
    for (const id of ids) this.#wanted.delete(id);
    this.#trends.load(ids, buckets, now);
    this.#loaded(ids);
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((rested) => setTimeout(rested, milliseconds));
}
