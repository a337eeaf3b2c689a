import type { RankedDevice } from "../devices/ranking";
import { groupByRoom } from "../devices/ranking";
import type { WallOptions } from "./options";

/** More would be too small to read from across a room. */
export const MAX_TILES = 6;

/** What wall mode shows at once: a room, or a part of one with more devices than fit. */
export interface WallPage {
  readonly key: string;
  /** Both are empty for devices without a location. */
  readonly site: string;
  readonly room: string;
  /** Counted from 1. */
  readonly part: number;
  readonly parts: number;
  /** The worst first. */
  readonly devices: readonly RankedDevice[];
}

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** In the order of sites and rooms, which does not change when values do; devices without a location come last. */
export function wallPages(ranked: readonly RankedDevice[], { site, rooms }: Pick<WallOptions, "site" | "rooms">): WallPage[] {
  const wanted = ranked.filter(({ device: { record } }) => (site === null || record?.site === site) && (rooms.length === 0 || rooms.includes(record?.room ?? "")));
  const groups = groupByRoom(wanted).sort(
    (a, b) => Number(!a.site && !a.room) - Number(!b.site && !b.room) || byName.compare(a.site, b.site) || byName.compare(a.room, b.room),
  );
  return groups.flatMap((group) => {
    const parts = Math.ceil(group.devices.length / MAX_TILES);
    const size = Math.ceil(group.devices.length / parts);
    return Array.from({ length: parts }, (_, index) => ({
      key: JSON.stringify([group.site, group.room, index + 1]),
      site: group.site,
      room: group.room,
      part: index + 1,
      parts,
      devices: group.devices.slice(index * size, (index + 1) * size),
    }));
  });
}

/** How many values of each device are shown: those of many devices are fewer, so that they stay large. */
export function valuesPerTile(tiles: number): number {
  if (tiles <= 1) return 6;
  return tiles <= 4 ? 4 : 2;
}
