import type { Level, Measurement, Reading, Value } from "./wire";

export const MOST_DEVICES = 1000;
export const FEED_LENGTH = 20;
export const NOTICE_STAYS_MS = 10 * 60_000;

/** Below this, a difference to the bridge's clock may be the whole seconds of the HTTP `Date` header. */
const CLOCK_TOLERANCE_MS = 1500;

export type ConnectionState = "connecting" | "connected" | "reconnecting" | "disconnected";
export type DeviceStatus = "online" | "offline" | null;

/** The newest word on one field: its value, or null where the device sent something unusable. */
export interface Entry {
  readonly value: Value | null;
  readonly flag: string;
  readonly measuredAt: number;
}

export interface Device {
  readonly id: string;
  readonly entries: Map<string, Entry>;
  /** Null until a reading came. */
  measuredAt: number | null;
  clockFlag: string;
  /** Null while the bridge has not said. */
  status: DeviceStatus;
}

export interface Notice {
  readonly level: Level;
  readonly message: string;
  readonly at: number;
}

/** What has changed since the last paint. */
export interface Changes {
  readonly devices: ReadonlySet<string>;
  readonly feed: boolean;
  readonly page: boolean;
}

/** All the page knows. Events change it; the view reads it once per frame. No DOM, no clock, bounded in every part. */
export class Model {
  connection: ConnectionState = "connecting";
  clients: number | null = null;
  notice: Notice | null = null;
  table: readonly Measurement[] = [];
  /** True once the latest readings have been read: only then is an empty page known to be empty. */
  loaded = false;
  /** In the order they were heard, longest silent first. */
  readonly devices = new Map<string, Device>();
  /** Newest first, by the bridge's cursor. */
  readonly feed: Reading[] = [];

  #clockOffset = 0;
  #changedDevices = new Set<string>();
  #feedChanged = false;
  #pageChanged = true;

  setTable(table: readonly Measurement[]): void {
    this.table = table;
    this.#pageChanged = true;
  }

  setConnection(state: ConnectionState): void {
    this.connection = state;
    if (state !== "connected") this.#forgetWhatOnlyTheBridgeKnows();
    this.#pageChanged = true;
  }

  setClients(count: number | null): void {
    this.clients = count;
    this.#pageChanged = true;
  }

  setNotice(notice: Notice): void {
    this.notice = notice;
    this.#pageChanged = true;
  }

  /** A notice tells of a moment; left standing, it would look like the state of things now. */
  expireNotice(now: number): void {
    if (this.notice === null || now - this.notice.at < NOTICE_STAYS_MS) return;
    this.notice = null;
    this.#pageChanged = true;
  }

  addLatest(readings: readonly Reading[]): void {
    for (const reading of [...readings].sort((a, b) => a.seq - b.seq)) this.addReading(reading);
    this.loaded = true;
    this.#pageChanged = true;
  }

  /** The same reading twice, or an older one late, changes nothing that is newer. */
  addReading(reading: Reading): void {
    const device = this.#heard(reading.deviceId);
    for (const [name, value] of reading.values) {
      put(device, name, { value, flag: reading.quality.get(name) ?? "", measuredAt: reading.measuredAt });
    }
    for (const [name, flag] of reading.quality) {
      if (name === "timestamp" || reading.values.has(name)) continue;
      put(device, name, { value: null, flag, measuredAt: reading.measuredAt });
    }
    if (device.measuredAt === null || reading.measuredAt >= device.measuredAt) {
      device.measuredAt = reading.measuredAt;
      device.clockFlag = reading.quality.get("timestamp") ?? "";
    }
    this.#addToFeed(reading);
  }

  setStatus(deviceId: string, status: DeviceStatus): void {
    this.#heard(deviceId).status = status;
  }

  /** Ages are told by the bridge's clock, for the reader's may be wrong. */
  observeBridgeClock(bridgeNow: number, now: number): void {
    const offset = bridgeNow - now;
    if (Math.abs(offset - this.#clockOffset) > CLOCK_TOLERANCE_MS) this.#clockOffset = offset;
  }

  bridgeTime(now: number): number {
    return now + this.#clockOffset;
  }

  takeChanges(): Changes {
    const changes = { devices: this.#changedDevices, feed: this.#feedChanged, page: this.#pageChanged };
    this.#changedDevices = new Set();
    this.#feedChanged = this.#pageChanged = false;
    return changes;
  }

  #forgetWhatOnlyTheBridgeKnows(): void {
    this.clients = null;
    for (const device of this.devices.values()) {
      if (device.status === null) continue;
      device.status = null;
      this.#changedDevices.add(device.id);
    }
  }

  /** The device, moved to the end of the line; the longest silent one leaves when there are too many. */
  #heard(id: string): Device {
    const known = this.devices.get(id);
    const device = known ?? { id, entries: new Map(), measuredAt: null, clockFlag: "", status: null };
    this.devices.delete(id);
    this.devices.set(id, device);
    this.#changedDevices.add(id);
    if (known === undefined) this.#makeRoom();
    return device;
  }

  #makeRoom(): void {
    this.#pageChanged = true;
    for (const id of this.devices.keys()) {
      if (this.devices.size <= MOST_DEVICES) return;
      this.devices.delete(id);
      this.#changedDevices.add(id);
    }
  }

  #addToFeed(reading: Reading): void {
    if (this.feed.some(({ id }) => id === reading.id)) return;
    const place = this.feed.findIndex(({ seq }) => seq <= reading.seq);
    if (place < 0 && this.feed.length === FEED_LENGTH) return;
    this.feed.splice(place < 0 ? this.feed.length : place, 0, reading);
    this.feed.length = Math.min(this.feed.length, FEED_LENGTH);
    this.#feedChanged = true;
  }
}

function put(device: Device, name: string, entry: Entry): void {
  const known = device.entries.get(name);
  if (known === undefined || entry.measuredAt >= known.measuredAt) device.entries.set(name, entry);
}
