import type { Trends } from "../model/trend";
import { MINUTES, MINUTE_MS } from "../model/trend";
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
  readonly #wanted = new Set<string>();
  #reading = false;

  constructor(http: Http, trends: Trends, now: () => number, table: () => readonly Measurement[], loaded: (ids: readonly string[]) => void) {
    this.#http = http;
    this.#trends = trends;
    this.#now = now;
    this.#table = table;
    this.#loaded = loaded;
  }

  want(deviceId: string): void {
    if (this.#trends.has(deviceId)) return;
    this.#wanted.add(deviceId);
    void this.#read();
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    while (this.#wanted.size > 0) {
      await rest(GATHER_MS);
      const ids = [...this.#wanted].slice(0, AT_ONCE);
      if (!(await this.#load(ids).then(() => true, () => false))) await rest(RETRY_MS);
    }
    this.#reading = false;
  }

  async #load(devices: readonly string[]): Promise<void> {
    const now = this.#now();
    const fields = this.#table().map(({ name }) => name);
    if (fields.length === 0) throw new Error("the table is not known yet");
    const from = now - (MINUTES - 1) * MINUTE_MS;
    const buckets = await this.#http.history({ devices, from, to: now, step: MINUTE_MS, fields });
    for (const id of devices) this.#wanted.delete(id);
    this.#trends.load(devices, buckets, now);
    this.#loaded(devices);
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((rested) => setTimeout(rested, milliseconds));
}
