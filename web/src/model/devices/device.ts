import type { DeviceRecord, Reading, Value } from "../wire";

/** The newest state of one field. `value` is null when the device sent something unusable. */
export interface Entry {
  readonly value: Value | null;
  readonly flag: string;
  readonly measuredAt: number;
  readonly retained: boolean;
}

/** A value this much older than the device's newest reading is stale, and its age is shown. */
export const STALE_MS = 60_000;

/** Without a rhythm of its own, a device's values stand for the present this long. */
const FRESH_MS = 10 * 60_000;
const MAX_MISSED_INTERVALS = 3;

/** `inactive`: last known to be online, but silent for long, and no rhythm says when it should have been heard again. */
export type Presence = "online" | "inactive" | "offline" | "unknown";

/** A device: its registry record and the newest value of each field. */
export class Device {
  readonly id: string;
  record: DeviceRecord | null = null;
  readonly entries = new Map<string, Entry>();
  /** Time of the newest reading; null before the first. */
  measuredAt: number | null = null;
  /** When the bridge received a reading last, retained ones left out; null before the first. */
  receivedAt: number | null = null;
  clockFlag = "";
  /** The last status the bridge reported; null when unknown. */
  status: string | null = null;
  statusAt: number | null = null;

  readonly #find: (id: string) => Device | undefined;

  /** `find` returns other devices, for the name of the device of a part. */
  constructor(id: string, find: (id: string) => Device | undefined = () => undefined) {
    this.id = id;
    this.#find = find;
  }

  /** Its own name, or for a part such as `cold.DS18B20-2` the name of its device and the part. */
  get name(): string {
    const { name, partOf } = this.record ?? {};
    if (name != null) return name;
    if (partOf == null || partOf === this.id) return this.id;
    const part = this.id.startsWith(`${partOf}.`) ? this.id.slice(partOf.length + 1) : this.id;
    return `${this.#find(partOf)?.record?.name ?? partOf} · ${part}`;
  }

  get isOffline(): boolean {
    return this.status === "offline" && !this.isRetired;
  }

  /**
   * The bridge takes a device offline when its connection ends or it misses three of its intervals. It knows neither of a device
   * that sent once or irregularly, and leaves it online for ever: after ten minutes of silence the page calls it inactive.
   */
  presence(now: number): Presence {
    if (this.status === null || this.isRetired) return "unknown";
    if (this.isOffline) return "offline";
    if (this.record?.connection != null || this.intervalMs !== null) return "online";
    const heardAt = Math.max(this.receivedAt ?? 0, this.record?.lastSeen ?? 0);
    return heardAt > 0 && now - heardAt > FRESH_MS ? "inactive" : "online";
  }

  get isRetired(): boolean {
    return this.record?.retiredAt != null;
  }

  /** The expected time between readings, else the learned one. */
  get intervalMs(): number | null {
    const seconds = this.record?.expectedInterval ?? this.record?.interval ?? null;
    return seconds === null ? null : seconds * 1000;
  }

  applyRecord(record: DeviceRecord): void {
    this.record = record;
    this.status = record.status;
    this.statusAt = record.statusAt;
    if (record.lastReading) this.applyReading(record.lastReading);
  }

  /** A duplicate or late reading never overwrites a newer value. */
  applyReading(reading: Reading): void {
    const { measuredAt, receivedAt, retained } = reading;
    if (!retained) this.receivedAt = Math.max(this.receivedAt ?? 0, receivedAt);
    for (const [name, value] of reading.values) {
      this.#put(name, { value, flag: reading.quality.get(name) ?? "", measuredAt, retained });
    }
    for (const [name, flag] of reading.quality) {
      if (name === "timestamp" || reading.values.has(name)) continue;
      this.#put(name, { value: null, flag, measuredAt, retained });
    }
    if (this.measuredAt !== null && measuredAt < this.measuredAt) return;
    this.measuredAt = measuredAt;
    this.clockFlag = reading.quality.get("timestamp") ?? "";
  }

  /** Whether the value is much older than the device's newest reading. */
  isStale(entry: Entry): boolean {
    return this.measuredAt !== null && this.measuredAt - entry.measuredAt > Math.max(STALE_MS, this.#maxSilenceMs);
  }

  /** Whether the newest reading stands for the present. */
  isFresh(now: number): boolean {
    return this.measuredAt !== null && this.isFreshSince(this.measuredAt, now);
  }

  isFreshSince(at: number, now: number): boolean {
    return now - at <= Math.max(FRESH_MS, this.#maxSilenceMs);
  }

  get #maxSilenceMs(): number {
    return MAX_MISSED_INTERVALS * (this.intervalMs ?? 0);
  }

  #put(name: string, entry: Entry): void {
    const known = this.entries.get(name);
    if (known === undefined || entry.measuredAt >= known.measuredAt) this.entries.set(name, entry);
  }
}
