import { element, setText } from "./dom";
import { formatMoment, formatValue } from "./format";
import type { Measurement, Reading } from "./wire";

/** The newest readings, newest on top. Rows stay in place and change their text, so nothing is built per reading. */
export class Feed {
  readonly #list: HTMLElement;
  readonly #rows: Row[] = [];

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  update(readings: readonly Reading[], table: readonly Measurement[], now: number): void {
    readings.forEach((reading, place) => {
      const row = this.#rows[place] ?? this.#addRow();
      row.update(reading, table, now);
    });
  }

  #addRow(): Row {
    const row = new Row();
    this.#rows.push(row);
    this.#list.append(row.root);
    return row;
  }
}

class Row {
  readonly root: HTMLLIElement;
  readonly #device = element("b");
  readonly #time = element("time");
  readonly #values = element("span", "values");

  constructor() {
    this.root = element("li", "", this.#device, this.#time, this.#values);
  }

  update(reading: Reading, table: readonly Measurement[], now: number): void {
    setText(this.#device, reading.deviceId);
    setText(this.#time, formatMoment(reading.measuredAt, now));
    this.#time.dateTime = new Date(reading.measuredAt).toISOString();
    setText(this.#values, summary(reading, table));
  }
}

const NO_BREAK = "\u00a0";

function summary(reading: Reading, table: readonly Measurement[]): string {
  const parts = table.flatMap(({ name, label, unit }) => {
    const value = reading.values.get(name);
    return value === undefined ? [] : [[label, formatValue(value), unit].filter(Boolean).join(NO_BREAK)];
  });
  return parts.join(" · ");
}
