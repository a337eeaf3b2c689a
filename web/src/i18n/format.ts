import type { Value } from "../model/wire";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Decimal places by magnitude, so that both 0.042 from a gas sensor and 1,013.2 from a barometer are readable. */
const DIGITS: readonly (readonly [from: number, digits: number])[] = [[10_000, 0], [10, 1], [1, 2], [0.01, 3]];

const AGES: readonly (readonly [from: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [DAY, "day"],
  [HOUR, "hour"],
  [MINUTE, "minute"],
  [SECOND, "second"],
];

/** Number and time formats of one locale. */
export class Formats {
  readonly locale: string;
  readonly #decimals: readonly Intl.NumberFormat[];
  readonly #tiny: Intl.NumberFormat;
  readonly #clock: Intl.DateTimeFormat;
  readonly #moment: Intl.DateTimeFormat;
  readonly #relative: Intl.RelativeTimeFormat;
  readonly #plurals: Intl.PluralRules;
  readonly #fixedFormats = new Map<number, Intl.NumberFormat>();
  readonly #dates = new Map<string, Intl.DateTimeFormat>();

  constructor(locale: string) {
    this.locale = locale;
    this.#decimals = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits }));
    this.#tiny = new Intl.NumberFormat(locale, { maximumSignificantDigits: 2, notation: "scientific" });
    this.#clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium", hourCycle: "h23" });
    this.#moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
    this.#relative = relative(locale);
    this.#plurals = new Intl.PluralRules(locale);
  }

  /** Shows at least `minDigits` decimal places, so that a changing figure keeps its width. */
  number(value: number, minDigits = 0): string {
    if (minDigits > 0 && Math.abs(value) < 10_000) return this.#fixed(minDigits).format(value).replaceAll("-", "−");
    const size = Math.abs(value);
    const digits = value === 0 ? 0 : DIGITS.find(([from]) => size >= from)?.[1];
    const format = digits === undefined ? this.#tiny : this.#decimals[digits] ?? this.#tiny;
    return format.format(value).replace("E", "e").replaceAll("-", "−");
  }

  #fixed(digits: number): Intl.NumberFormat {
    const format = this.#fixedFormats.get(digits) ?? new Intl.NumberFormat(this.locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
    this.#fixedFormats.set(digits, format);
    return format;
  }

  /** Such as "A, B and C". */
  list(items: readonly string[]): string {
    return new Intl.ListFormat(this.locale, { type: "conjunction" }).format(items);
  }

  count(value: number): string {
    return this.#decimals[0]?.format(value) ?? String(value);
  }

  /** One decimal place below ten, none above. */
  rate(value: number): string {
    return this.#decimals[value < 10 ? 1 : 0]?.format(value) ?? String(value);
  }

  plural(count: number): Intl.LDMLPluralRule {
    return this.#plurals.select(count);
  }

  /** Such as "4 s ago". Null below one second, and for future times, because a device's clock may be ahead. */
  age(milliseconds: number): string | null {
    const [size, unit] = AGES.find(([from]) => milliseconds >= from) ?? [];
    return size === undefined || unit === undefined ? null : this.#relative.format(-Math.floor(milliseconds / size), unit);
  }

  /** Such as "10 s" or "2 h". */
  duration(milliseconds: number): string {
    const [size, unit] = AGES.find(([from]) => milliseconds >= from) ?? [SECOND, "second"];
    const format = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 } as const;
    return new Intl.NumberFormat(this.locale, format).format(milliseconds / size);
  }

  milliseconds(value: number): string {
    const format = { style: "unit", unit: "millisecond", unitDisplay: "short", maximumFractionDigits: value < 10 ? 1 : 0 } as const;
    return new Intl.NumberFormat(this.locale, format).format(value).replaceAll("-", "−");
  }

  /** The local time of day, with the date if it is not today. */
  moment(milliseconds: number, now: number): string {
    const moment = new Date(milliseconds);
    const sameDay = moment.toDateString() === new Date(now).toDateString();
    return (sameDay ? this.#clock : this.#moment).format(moment);
  }

  full(milliseconds: number): string {
    return this.#moment.format(milliseconds);
  }

  /** A day, such as 31 Jan 2026. */
  day(milliseconds: number): string {
    return this.date(milliseconds, { dateStyle: "medium" });
  }

  /** A size, such as 1.2 GB. */
  bytes(bytes: number): string {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
    const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
    const unit = units[step] ?? "byte";
    return new Intl.NumberFormat(this.locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: step === 0 ? 0 : 1 }).format(bytes / 1000 ** step);
  }

  date(milliseconds: number, options: Intl.DateTimeFormatOptions): string {
    const key = JSON.stringify(options);
    const format = this.#dates.get(key) ?? new Intl.DateTimeFormat(this.locale, { hourCycle: "h23", ...options });
    this.#dates.set(key, format);
    return format.format(milliseconds);
  }
}

/** The narrow style, except in languages where it is a bare "-3 min". */
function relative(locale: string): Intl.RelativeTimeFormat {
  const narrow = new Intl.RelativeTimeFormat(locale, { style: "narrow", numeric: "always" });
  if (!/^[-−]/.test(narrow.format(-3, "minute"))) return narrow;
  return new Intl.RelativeTimeFormat(locale, { style: "short", numeric: "always" });
}

export function isNumber(value: Value | null): value is number {
  return typeof value === "number";
}
