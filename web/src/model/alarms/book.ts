/** The alarms that stand, by id, as far as the page was told. */

import type { Alarm, Priority } from "./alarm";
import { byUrgency, isActive, isCalling, isQuiet, isStanding, isUrgent, morePressing } from "./alarm";

export const MAX_ALARMS = 10_000;

/** What is known of the alarms: nothing, all that the bridge knows so far, or all. `hidden`: a shared view has none. */
export type AlarmKnowledge = "unknown" | "catchingUp" | "known" | "hidden";

/** A load that is under way, and the alarms of which newer events came meanwhile. */
export type AlarmLoad = Set<string>;

export class AlarmBook {
  knowledge: AlarmKnowledge = "unknown";
  readonly #alarms = new Map<string, Alarm>();
  readonly #loads = new Set<AlarmLoad>();
  #changedDevices = new Set<string>();
  #hasChanged = true;
  #news = new Set<string>();

  /** To be called before the alarms are asked for: events that come meanwhile are newer than the answer. */
  beginLoad(): AlarmLoad {
    const load: AlarmLoad = new Set();
    this.#loads.add(load);
    return load;
  }

  hide(): void {
    this.#know("hidden");
  }

  abandonLoad(load: AlarmLoad): void {
    this.#loads.delete(load);
  }

  /** Replaces all alarms, except those that events have changed since the load began. */
  endLoad(load: AlarmLoad, alarms: readonly Alarm[], isCatchingUp: boolean): void {
    this.#loads.delete(load);
    const listed = new Set(alarms.map(({ id }) => id));
    const isFirst = this.knowledge === "unknown";
    for (const id of this.#alarms.keys()) if (!listed.has(id) && !load.has(id)) this.#delete(id);
    for (const alarm of alarms) if (!load.has(alarm.id)) this.#put(alarm, isFirst);
    this.#know(isCatchingUp ? "catchingUp" : "known");
  }

  /** Takes the alarms that the bridge sends when a connection opens. */
  replace(alarms: readonly Alarm[]): void {
    const { knowledge } = this;
    const newer = new Set(alarms.map(({ id }) => id));
    for (const id of this.#alarms.keys()) newer.add(id);
    this.endLoad(new Set(), alarms, knowledge === "catchingUp");
    for (const load of this.#loads) for (const id of newer) load.add(id);
  }

  apply(alarm: Alarm): void {
    for (const load of this.#loads) load.add(alarm.id);
    this.#hasChanged = true;
    this.#put(alarm, false);
  }

  /** The most urgent first. */
  sorted(): Alarm[] {
    return [...this.#alarms.values()].sort(byUrgency);
  }

  /** The most urgent priority of the alarms at a device whose condition stands, hidden ones left out. */
  pressing(): ReadonlyMap<string, Priority> {
    const priorities = new Map<string, Priority>();
    for (const alarm of this.#alarms.values()) {
      const { deviceId, priority } = alarm;
      if (deviceId !== null && isActive(alarm) && !isQuiet(alarm)) priorities.set(deviceId, morePressing(priorities.get(deviceId) ?? null, priority));
    }
    return priorities;
  }

  /** The same by device and field; alarms without a field are left out. */
  pressingFields(): ReadonlyMap<string, ReadonlyMap<string, Priority>> {
    const devices = new Map<string, Map<string, Priority>>();
    for (const alarm of this.#alarms.values()) {
      const { deviceId, field, priority } = alarm;
      if (deviceId === null || field === null || !isActive(alarm) || isQuiet(alarm)) continue;
      const fields = devices.get(deviceId) ?? new Map<string, Priority>();
      devices.set(deviceId, fields.set(field, morePressing(fields.get(field) ?? null, priority)));
    }
    return devices;
  }

  /** Whether anything changed since the last call. */
  takeChange(): boolean {
    const changed = this.#hasChanged;
    this.#hasChanged = false;
    return changed;
  }

  takeChangedDevices(): ReadonlySet<string> {
    const changed = this.#changedDevices;
    this.#changedDevices = new Set();
    return changed;
  }

  /** The alarms that call for attention anew since the last call, the first load left out. */
  takeNews(): readonly Alarm[] {
    const alarms = [...this.#news].flatMap((id) => this.#alarms.get(id) ?? []);
    this.#news.clear();
    return alarms.filter(isCalling);
  }

  #know(knowledge: AlarmKnowledge): void {
    this.#hasChanged ||= knowledge !== this.knowledge;
    this.knowledge = knowledge;
  }

  #put(alarm: Alarm, isFirst: boolean): void {
    const known = this.#alarms.get(alarm.id);
    if (!isStanding(alarm)) {
      this.#delete(alarm.id);
      return;
    }
    if (known === undefined && this.#alarms.size >= MAX_ALARMS && !this.#makeRoomFor(alarm)) return;
    this.#alarms.set(alarm.id, alarm);
    this.#touch(alarm);
    if (!isFirst && isCalling(alarm) && (known === undefined || !isCalling(known))) this.#news.add(alarm.id);
  }

  #delete(id: string): void {
    const known = this.#alarms.get(id);
    if (known === undefined) return;
    this.#alarms.delete(id);
    this.#touch(known);
  }

  #touch({ deviceId }: Alarm): void {
    this.#hasChanged = true;
    if (deviceId !== null) this.#changedDevices.add(deviceId);
  }

  /** An urgent alarm takes the place of one that is not. */
  #makeRoomFor(alarm: Alarm): boolean {
    if (!isUrgent(alarm)) return false;
    for (const other of this.#alarms.values()) {
      if (isUrgent(other)) continue;
      this.#delete(other.id);
      return true;
    }
    return false;
  }
}
