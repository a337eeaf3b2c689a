import type { DeviceRecord, Reading, Value } from "../wire";

/** The newest word on one field: its value, or null where the device sent something unusable. */
export interface Entry {
  readonly value: Value | null;
  readonly flag: string;
  readonly measuredAt: number;
  readonly retained: boolean;
}

/** A field whose newest value is this much older than its device's newest reading is lagging, and says how old it is. */
export const LAGGING_MS = 60_000;

export type Presence = "online" | "offline" | "unknown";

/** What the registry says of a device, with the newest value of each field. */
export class Device {
  readonly id: string;
  record: DeviceRecord | null = null;
  readonly entries = new Map<string, Entry>();
  /** When the newest reading was measured; null until one came. */
  measuredAt: number | null = null;
  clockFlag = "";
  /** By which scale its newest `aqi` is. */
  aqiScale = "";
  /** How many readings were heard: another number, and what was made of them must be made anew. */
  heard = 0;
  /** As the bridge said last; null while it has not, or cannot be asked. */
  status: string | null = null;
  statusAt: number | null = null;

  constructor(id: string) {
    this.id = id;
  }

  get name(): string {
    return this.record?.name ?? this.id;
  }

  get presence(): Presence {
    if (this.status === null) return "unknown";
    return this.status === "offline" ? "offline" : "online";
  }

  /** Milliseconds between its readings, as far as anyone knows. */
  get intervalMs(): number | null {
    const seconds = this.record?.expectedInterval ?? this.record?.interval ?? null;
    return seconds === null ? null : seconds * 1000;
  }

  know(record: DeviceRecord): void {
    this.record = record;
    this.status = record.status;
    this.statusAt = record.statusAt;
    if (record.lastReading) this.hear(record.lastReading);
  }

  /** The same reading twice, or an older one late, changes nothing that is newer. */
  hear(reading: Reading): void {
    const { measuredAt, retained } = reading;
    this.heard++;
    if (reading.values.has("aqi") && measuredAt >= (this.entries.get("aqi")?.measuredAt ?? measuredAt)) this.aqiScale = reading.aqiScale;
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

  isLagging(entry: Entry): boolean {
    return this.measuredAt !== null && this.measuredAt - entry.measuredAt > Math.max(LAGGING_MS, 3 * (this.intervalMs ?? 0));
  }

  #put(name: string, entry: Entry): void {
    const known = this.entries.get(name);
    if (known === undefined || entry.measuredAt >= known.measuredAt) this.entries.set(name, entry);
  }
}
