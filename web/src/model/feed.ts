import type { Reading } from "./wire";

export const FEED_LENGTH = 500;

/** Readings that were not sent to this page live. `missed` is null where nobody counted. */
export interface Gap {
  readonly id: string;
  readonly gap: true;
  readonly from: number;
  readonly seq: number;
  readonly missed: number | null;
}

export type FeedItem = Reading | Gap;

export interface FeedFilter {
  readonly device: string;
  readonly field: string;
}

export function isGap(item: FeedItem): item is Gap {
  return "gap" in item;
}

/** The newest readings by the bridge's cursor, newest first; bounded. */
export class Feed {
  readonly items: FeedItem[] = [];
  readonly #ids = new Set<string>();

  add(item: FeedItem): boolean {
    if (this.#ids.has(item.id)) return false;
    const first = this.items[0];
    let place = first === undefined || first.seq <= item.seq ? 0 : this.items.findIndex(({ seq }) => seq <= item.seq);
    if (place < 0) place = this.items.length;
    if (place === FEED_LENGTH) return false;
    this.items.splice(place, 0, item);
    this.#ids.add(item.id);
    while (this.items.length > FEED_LENGTH) {
      const oldest = this.items.pop();
      if (oldest) this.#ids.delete(oldest.id);
    }
    return true;
  }

  /** Between the cursors `from` and `to`. */
  addGap(from: number, to: number, missed: number | null): void {
    this.add({ id: `gap ${from} ${to}`, gap: true, from, seq: to, missed });
  }
}

/** The device's id must contain the text; the field must be there, or be complained of. Gaps stay. */
export function chosen(items: readonly FeedItem[], filter: FeedFilter, most: number): FeedItem[] {
  const text = filter.device.trim().toLowerCase();
  const found: FeedItem[] = [];
  for (const item of items) {
    if (found.length === most) break;
    if (isGap(item) || (item.deviceId.toLowerCase().includes(text) && hasField(item, filter.field))) found.push(item);
  }
  return found;
}

/** A reading in the names of the wire. */
export function asRecord(reading: Reading): Record<string, unknown> {
  return {
    _id: reading.id,
    ...Object.fromEntries(reading.values),
    ...(reading.aqiScale ? { aqiScale: reading.aqiScale } : {}),
    timestamp: new Date(reading.measuredAt).toISOString(),
    deviceId: reading.deviceId,
    seq: reading.seq,
    ...(reading.quality.size > 0 ? { quality: Object.fromEntries(reading.quality) } : {}),
    ...(reading.retained ? { retained: true } : {}),
  };
}

/** A cursor is microseconds since the epoch. */
export function cursorTime(cursor: number): number {
  return cursor / 1000;
}

function hasField(reading: Reading, field: string): boolean {
  return field === "" || reading.values.has(field) || reading.quality.has(field);
}
