import { Device } from "./device";
import type { DeviceRecord, Reading } from "../wire";

export const MOST_DEVICES = 2000;

/** Every device the page knows of, in the order they were heard, longest silent first. Bounded. */
export class Fleet {
  readonly devices = new Map<string, Device>();
  /** True once the registry was read: only then is an empty page known to be empty. */
  loaded = false;
  #changed = new Set<string>();

  load(records: readonly DeviceRecord[]): void {
    const listed = new Set(records.map(({ id }) => id));
    for (const record of records) this.know(record);
    for (const id of this.devices.keys()) if (!listed.has(id) && records.length < MOST_DEVICES) this.remove(id);
    this.loaded = true;
  }

  know(record: DeviceRecord): void {
    this.#heard(record.id).know(record);
  }

  hear(reading: Reading): Device {
    const device = this.#heard(reading.deviceId);
    device.hear(reading);
    return device;
  }

  setStatus(id: string, status: string, at: number | null): void {
    const device = this.#heard(id);
    device.status = status;
    device.statusAt = at;
  }

  remove(id: string): void {
    if (this.devices.delete(id)) this.#changed.add(id);
  }

  /** Without a connection nobody can tell who is there. */
  forgetStatuses(): void {
    for (const device of this.devices.values()) {
      if (device.status === null) continue;
      device.status = device.statusAt = null;
      this.#changed.add(device.id);
    }
  }

  /** Which devices changed since the last time this was asked. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** The device, moved to the end of the line; the longest silent one leaves when there are too many. */
  #heard(id: string): Device {
    const known = this.devices.get(id);
    const device = known ?? new Device(id);
    this.devices.delete(id);
    this.devices.set(id, device);
    this.#changed.add(id);
    for (const silent of this.devices.keys()) {
      if (this.devices.size <= MOST_DEVICES) break;
      this.remove(silent);
    }
    return device;
  }
}
