import { element, setHidden, setOptionalText, setState, setText } from "./dom";
import { formatAge, formatMoment, formatQuality, formatValue } from "./format";
import type { Device, Entry } from "./model";
import type { Measurement } from "./wire";

/** A value this much older than its device's newest reading says so. */
const LAGGING_MS = 60_000;

/** One device: its name, state, age, and the newest value of each field in the order of the table. */
export class Card {
  readonly root: HTMLLIElement;
  readonly #name = element("h3");
  readonly #status = element("span", "status");
  readonly #age = element("time");
  readonly #values = element("dl");
  readonly #note = element("p", "note");
  readonly #fields = new Map<string, Field>();
  #device: Device;

  constructor(device: Device) {
    this.#device = device;
    const state = element("p", "state", this.#status, this.#age);
    this.root = element("li", "card", element("header", "", this.#name, state), this.#values, this.#note);
    setText(this.#name, device.id);
  }

  update(device: Device, table: readonly Measurement[], now: number): void {
    this.#device = device;
    setOptionalText(this.#status, device.status ?? "");
    setState(this.root, "status", device.status ?? "unknown");
    setHidden(this.#values, device.entries.size === 0);
    setOptionalText(this.#note, device.clockFlag && `Clock: ${formatQuality(device.clockFlag)}`);
    if (device.measuredAt !== null) {
      this.#age.dateTime = new Date(device.measuredAt).toISOString();
      this.#age.title = `Measured ${formatMoment(device.measuredAt, now)}`;
    }
    this.#updateFields(device, table);
    this.tick(now);
  }

  tick(now: number): void {
    const measuredAt = this.#device.measuredAt;
    setText(this.#age, measuredAt === null ? "no reading yet" : formatAge(now - measuredAt));
    for (const [name, field] of this.#fields) {
      const entry = this.#device.entries.get(name);
      if (entry) field.update(entry, measuredAt !== null && measuredAt - entry.measuredAt > LAGGING_MS, now);
    }
  }

  #updateFields(device: Device, table: readonly Measurement[]): void {
    if (this.#fields.size === device.entries.size) return;
    for (const measurement of table) {
      if (!device.entries.has(measurement.name)) continue;
      const field = this.#fields.get(measurement.name) ?? new Field(measurement);
      this.#fields.set(measurement.name, field);
      this.#values.append(field.root);
    }
  }
}

class Field {
  readonly root: HTMLDivElement;
  readonly #number = element("span", "number");
  readonly #unit = element("span", "unit");
  readonly #note = element("dd", "note");
  readonly #measurement: Measurement;

  constructor(measurement: Measurement) {
    this.#measurement = measurement;
    const label = element("dt");
    setText(label, measurement.label);
    this.root = element("div", "field", label, element("dd", "value", this.#number, this.#unit), this.#note);
  }

  update(entry: Entry, lagging: boolean, now: number): void {
    setText(this.#number, formatValue(entry.value));
    setOptionalText(this.#unit, entry.value === null ? "" : this.#measurement.unit);
    setState(this.root, "flagged", String(entry.flag !== ""));
    const age = lagging ? formatAge(now - entry.measuredAt) : "";
    setOptionalText(this.#note, [formatQuality(entry.flag), age].filter(Boolean).join(", "));
  }
}
