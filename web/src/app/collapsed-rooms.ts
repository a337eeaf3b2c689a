import { computed, signal } from "@preact/signals";

import type { RoomGroup } from "../model/devices/ranking";
import { field, list, text } from "../model/json";
import { loadPreference, savePreference } from "./preferences";

const KEY = "sensor-bridge.collapsedRooms";
const MAX_ROOMS = 500;

/** In the order in which they were collapsed. */
const rooms = signal(parse(loadPreference(KEY)));
const keys = computed(() => new Set(rooms.value));

/** Whether the room was collapsed in this browser. */
export function isCollapsed(room: RoomGroup): boolean {
  return keys.value.has(keyOf(room));
}

/** The room that was collapsed the longest ago opens when there are too many. */
export function setCollapsed(room: RoomGroup, collapsed: boolean): void {
  const others = rooms.peek().filter((one) => one !== keyOf(room));
  rooms.value = collapsed ? [...others, keyOf(room)].slice(-MAX_ROOMS) : others;
  savePreference(KEY, JSON.stringify({ rooms: rooms.peek() }));
}

function keyOf({ site, room }: RoomGroup): string {
  return JSON.stringify([site, room]);
}

function parse(stored: string | null): readonly string[] {
  try {
    return list(field(JSON.parse(stored ?? "{}"), "rooms")).map((one) => text(one, 1000)).slice(-MAX_ROOMS);
  } catch {
    return [];
  }
}
