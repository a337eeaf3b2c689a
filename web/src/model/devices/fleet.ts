import type { DeviceRecord, Reading } from "../wire";
import { Device } from "./device";

export const MAX_DEVICES = 2000;

/** All known devices, ordered by last activity, oldest first. Holds at most `MAX_DEVICES`. */
export class Fleet {
  readonly devices = new Map<string, Device>();
  /** How often devices were changed or removed on this page. */
  edits = 0;
  readonly #editedAt = new Map<string, number>();
  #changed = new Set<string>();

  /** Takes a list that was requested after so many edits: what was edited later is newer than the list. */
  load(records: readonly DeviceRecord[], edits = this.edits): void {
    const listed = new Set(records.map(({ id }) => id));
    for (const record of records) if (!this.#isEditedAfter(record.id, edits)) this.#apply(record);
    for (const id of this.devices.keys()) {
      if (!listed.has(id) && records.length < MAX_DEVICES && !this.#isEditedAfter(id, edits)) this.remove(id);
    }
  }

  /** Takes a record that was changed on this page. */
  applyRecord(record: DeviceRecord): void {
    this.#editedAt.set(record.id, ++this.edits);
    this.#apply(record);
  }

  /** Forgets a device that was removed on this page. */
  forget(id: string): void {
    this.#editedAt.set(id, ++this.edits);
    this.remove(id);
  }

  applyReading(reading: Reading): Device {
    const device = this.#touch(reading.deviceId);
    device.applyReading(reading);
    return device;
  }

  setStatus(id: string, status: string, at: number | null): void {
    const device = this.#touch(id);
    device.status = status;
    device.statusAt = at;
  }

  /** Sets the state that a device reported; false if its record has not been loaded yet. */
  setState(id: string, state: DeviceRecord["state"]): boolean {
    const device = this.#touch(id);
    if (device.record === null) return false;
    device.record = { ...device.record, state };
    return true;
  }

  countParts(id: string): number {
    return [...this.devices.values()].filter(({ record }) => record?.partOf === id).length;
  }

  remove(id: string): void {
    if (this.devices.delete(id)) this.#changed.add(id);
  }

  /** Without a connection the statuses are unknown. */
  clearStatuses(): void {
    for (const device of this.devices.values()) {
      if (device.status === null) continue;
      device.status = device.statusAt = null;
      this.#changed.add(device.id);
    }
  }

  /** The ids of the devices that changed since the last call. */
  takeChangedIds(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  #isEditedAfter(id: string, edits: number): boolean {
    return (this.#editedAt.get(id) ?? 0) > edits;
  }

  #apply(record: DeviceRecord): void {
    this.#touch(record.id).applyRecord(record);
  }

  /** The device, moved to the end; above `MAX_DEVICES` the one that was silent longest is removed. */
  #touch(id: string): Device {
    const device = this.devices.get(id) ?? new Device(id, (other) => this.devices.get(other));
    this.devices.delete(id);
    this.devices.set(id, device);
    this.#changed.add(id);
    for (const silent of this.devices.keys()) {
      if (this.devices.size <= MAX_DEVICES) break;
      this.remove(silent);
    }
    return device;
  }
}
