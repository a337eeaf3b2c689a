/** A table of what a chart shows, with the columns of `sensor-bridge export`: time, device, name and room, then the values. */

import type { Conversion } from "../units";
import { shown } from "../units";
import type { Columns } from "./bucket-history";
import type { TimeSpan } from "./time-range";

export interface CsvSeries {
  /** The id of a device; empty for the mean of a room. */
  readonly device: string;
  readonly name: string;
  readonly room: string;
  readonly columns: Columns;
}

/** Beginnings of a text that a spreadsheet would evaluate. */
const FORMULA = /^[=+\-@\t\r\n]/;
const NEEDS_QUOTES = /[",\r\n]/;
/** By it spreadsheets know that the file is UTF-8. */
const BYTE_ORDER_MARK = "\uFEFF";

/** The means of a field within the span, with their lowest and highest values, by time. Values are in the unit of the header. */
export function csvText(field: string, conversion: Conversion, all: readonly CsvSeries[], { from, to }: TimeSpan): string {
  const unit = conversion.unit ? ` (${conversion.unit})` : "";
  const header = ["time", "device", "name", "room", `${field}${unit}`, `${field} min${unit}`, `${field} max${unit}`];
  const figure = (value: number | null | undefined): string => (value == null ? "" : String(shown(value, conversion)));
  const rows = all.flatMap(({ device, name, room, columns }) =>
    columns.times.flatMap((time, n) => {
      const at = time * 1000;
      if (columns.mean[n] == null || at > to || at < from) return [];
      return [{ at, cells: [new Date(at).toISOString(), ...[device, name, room].map(inert), figure(columns.mean[n]), figure(columns.min[n]), figure(columns.max[n])] }];
    }),
  );
  rows.sort((one, other) => one.at - other.at);
  return `${BYTE_ORDER_MARK}${[header, ...rows.map(({ cells }) => cells)].map((cells) => `${cells.map(quoted).join(",")}\n`).join("")}`;
}

/** A text that no spreadsheet takes for a formula. */
export function inert(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text;
}

function quoted(cell: string): string {
  return NEEDS_QUOTES.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

const MAX_PART_LENGTH = 60;

/** Such as `office-co2-2026-11-29T0800-2026-11-30T0800.csv`, with what every file system takes. */
export function fileName(what: string, field: string, { from, to }: TimeSpan, extension: string): string {
  const part = (text: string): string => text.normalize("NFC").replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, MAX_PART_LENGTH) || "chart";
  return `${[part(what), part(field), momentPart(from), momentPart(to)].join("-")}.${extension}`;
}

function momentPart(at: number): string {
  const moment = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}T${two(moment.getHours())}${two(moment.getMinutes())}`;
}
