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

export type Presence = "online" | "offline" | "unknown";

/** A device: its registry record and the newest value of each field. */
export class Device {
  readonly id: string;
  record: DeviceRecord | null = null;
  readonly entries = new Map<string, Entry>();
  /** Time of the newest reading; null before the first. */
  measuredAt: number | null = null;
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

  get presence(): Presence {
    if (this.status === null || this.isRetired) return "unknown";
    return this.status === "offline" ? "offline" : "online";
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
    const { measuredAt, retained } = reading;
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

  isStale(entry: Entry): boolean {
    return this.measuredAt !== null && this.measuredAt - entry.measuredAt > Math.max(STALE_MS, 3 * (this.intervalMs ?? 0));
  }

  #put(name: string, entry: Entry): void {
    const known = this.entries.get(name);
    if (known === undefined || entry.measuredAt >= known.measuredAt) this.entries.set(name, entry);
  }
}
