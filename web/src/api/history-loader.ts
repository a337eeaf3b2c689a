import type { Device } from "../model/devices/device";
import { headlines } from "../model/devices/primary-values";
import type { HourBook } from "../model/devices/assessment";
import { HOURLY } from "../model/devices/assessment";
import type { Trends } from "../model/history/trend";
import { SLOTS, SLOT_MS } from "../model/history/trend";
import type { Measurement } from "../model/wire";
import type { Http } from "./client";

const GATHER_MS = 120;
const RETRY_MS = 5000;
const HOUR_MS = 3_600_000;

type Table = () => readonly Measurement[];
type Clock = () => number;

/** Reads something of the devices that come into sight, some together. */
export class SightReader {
  readonly #load: (devices: readonly Device[]) => Promise<void>;
  readonly #atOnce: number;
  readonly #wanted = new Map<string, Device>();
  #reading = false;

  constructor(load: (devices: readonly Device[]) => Promise<void>, atOnce: number) {
    this.#load = load;
    this.#atOnce = atOnce;
  }

  /** Until what is returned is called: a card that was scrolled past needs nothing. */
  want(device: Device): () => void {
    this.#wanted.set(device.id, device);
    void this.#read();
    return () => this.#wanted.delete(device.id);
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    while (this.#wanted.size > 0) {
      await rest(GATHER_MS);
      const devices = [...this.#wanted.values()].slice(-this.#atOnce);
      const isRead = devices.length === 0 || (await this.#load(devices).then(() => true, () => false));
      if (isRead) for (const { id } of devices) this.#wanted.delete(id);
      else await rest(RETRY_MS);
    }
    this.#reading = false;
  }
}

/** The last hour of the fields that the devices' cards show. */
export function trendLoader(http: Http, trends: Trends, now: Clock, table: Table): (devices: readonly Device[]) => Promise<void> {
  return async (devices) => {
    const to = now();
    const ids = devices.map(({ id }) => id);
    const shown = new Set(devices.flatMap((device) => headlines(device, known(table)).map(({ measurement }) => measurement.name)));
    const fields = known(table).flatMap(({ name }) => (shown.has(name) ? [name] : []));
    const from = to - (SLOTS - 1) * SLOT_MS;
    const buckets = fields.length === 0 ? [] : await http.history({ devices: ids, from, to, step: SLOT_MS, fields });
    trends.load(ids, buckets, to);
  };
}

/** The hours of the last day that have ended and are not known yet. */
export function hourLoader(http: Http, hours: HourBook, now: Clock, table: Table): (devices: readonly Device[]) => Promise<void> {
  return async (devices) => {
    const at = now();
    const ids = devices.map(({ id }) => id);
    const there = new Set(known(table).map(({ name }) => name));
    const fields = HOURLY.filter((name) => there.has(name));
    const from = Math.min(...ids.map((id) => hours.missingFrom(id, at)));
    const to = Math.floor(at / HOUR_MS) * HOUR_MS - 1;
    hours.load(ids, await http.history({ devices: ids, from, to, step: HOUR_MS, fields }), at);
  };
}

function known(table: Table): readonly Measurement[] {
  if (table().length === 0) throw new Error("the table is not known yet");
  return table();
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((rested) => setTimeout(rested, milliseconds));
}
