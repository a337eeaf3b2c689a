import type { Reading } from "./wire";

export const FEED_LENGTH = 500;

/** Readings that were not sent to this page live. `missed` is null when their number is unknown. */
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

/** The newest readings, newest first by cursor. Holds at most `FEED_LENGTH`. */
export class Feed {
  readonly items: FeedItem[] = [];
  readonly #ids = new Set<string>();

  /** False for duplicates and for items older than all kept ones. */
  add(item: FeedItem): boolean {
    if (this.#ids.has(item.id)) return false;
    const first = this.items[0];
    let index = first === undefined || first.seq <= item.seq ? 0 : this.items.findIndex(({ seq }) => seq <= item.seq);
    if (index < 0) index = this.items.length;
    if (index === FEED_LENGTH) return false;
    this.items.splice(index, 0, item);
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

/** Readings whose device id contains the text and that have the field, as a value or a flag. Gaps always match. */
export function filterFeed(items: readonly FeedItem[], filter: FeedFilter, limit: number): FeedItem[] {
  const text = filter.device.trim().toLowerCase();
  const found: FeedItem[] = [];
  for (const item of items) {
    if (found.length === limit) break;
    if (isGap(item) || (item.deviceId.toLowerCase().includes(text) && hasField(item, filter.field))) found.push(item);
  }
  return found;
}

/** A device's readings in the feed, newest first. */
export interface FeedGroup {
  readonly deviceId: string;
  readonly readings: readonly Reading[];
}

/**
 * The gaps, and the newest readings of each device: at most `perDevice`, fewer if they would be more than `limit` together. Of more
 * than `limit` devices, those that sent last.
 */
export function newestPerDevice(items: readonly FeedItem[], perDevice: number, limit: number): FeedItem[] {
  const devices = new Set(items.flatMap((item) => (isGap(item) ? [] : [item.deviceId])));
  const most = Math.max(1, Math.min(perDevice, Math.floor(limit / devices.size)));
  const counts = new Map<string, number>();
  const found: FeedItem[] = [];
  for (const item of items) {
    if (found.length === limit) break;
    const count = isGap(item) ? 0 : (counts.get(item.deviceId) ?? 0);
    if (count === most) continue;
    if (!isGap(item)) counts.set(item.deviceId, count + 1);
    found.push(item);
  }
  return found;
}

/** The readings by device. Devices are in the order of their ids, so that they do not move. */
export function groupFeed(items: readonly FeedItem[]): FeedGroup[] {
  const groups = new Map<string, Reading[]>();
  for (const item of items) {
    if (isGap(item)) continue;
    const readings = groups.get(item.deviceId);
    if (readings) readings.push(item);
    else groups.set(item.deviceId, [item]);
  }
  return [...groups].map(([deviceId, readings]) => ({ deviceId, readings })).sort((a, b) => a.deviceId.localeCompare(b.deviceId));
}

/** The reading in the bridge's JSON format. */
export function toRecord(reading: Reading): Record<string, unknown> {
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
