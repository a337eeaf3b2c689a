import { computed, signal } from "@preact/signals";

import { messages as meaning } from "../meaning/messages.en";
import { parseFlaw } from "../model/quality";
import type { Measurement, Value } from "../model/wire";
import type { Plurals } from "./en";
import { en as page } from "./en";
import { Formats } from "./format";

const en = { ...page, ...meaning } as const;

export type Key = keyof typeof en;
/** What another language must have. */
export type Messages = { readonly [K in Key]: (typeof en)[K] extends string ? string : Plurals };

/** The languages there are; all but English are loaded when they are wanted. */
const LANGUAGES: Readonly<Record<string, () => Promise<Messages>>> = {
  en: () => Promise.resolve(en),
};

const language = signal<{ readonly code: string; readonly messages: Messages }>({ code: "en", messages: en });

/** Numbers and times of the page's language; with the reader's region where it is the same language. */
export const formats = computed(() => {
  const own = globalThis.navigator?.languages.find((one) => one.split("-")[0] === language.value.code);
  return new Formats(own ?? language.value.code);
});

export async function speak(code: string): Promise<void> {
  const load = Object.hasOwn(LANGUAGES, code) ? LANGUAGES[code] : undefined;
  if (load) language.value = { code, messages: await load() };
}

export function languageCode(): string {
  return language.value.code;
}

type Holes<Text> = Text extends `${string}{${infer Name}}${infer Rest}` ? Name | Holes<Rest> : never;
type HolesOf<Message> = Message extends string ? Holes<Message> : Message extends { other: infer Other } ? Holes<Other> | "count" : never;
type Fill<K extends Key> = [HolesOf<(typeof en)[K]>] extends [never] ? [] : [Readonly<Record<HolesOf<(typeof en)[K]>, string | number>>];

/** The text of a key with its holes filled; numbers are counts, written as the language does. */
export function t<K extends Key>(key: K, ...[fill]: Fill<K>): string {
  const message = language.value.messages[key];
  const values: Readonly<Record<string, string | number>> = fill ?? {};
  const text = typeof message === "string" ? message : message[formats.value.plural(Number(values["count"]))] ?? message.other;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    return typeof value === "number" ? formats.value.count(value) : (value ?? "");
  });
}

/** The bridge's own label, unless this language has another. */
export function fieldLabel(measurement: Measurement): string {
  const messages: Readonly<Record<string, unknown>> = language.value.messages;
  const own = messages[`field.${measurement.name}`];
  return typeof own === "string" ? own : measurement.label;
}

/** Fields whose last digit comes and goes otherwise. */
const FIXED_DIGITS: Readonly<Record<string, number>> = { temperature: 1, humidity: 1, pressure: 1 };

export function valueText(value: Value | null, field = ""): string {
  if (value === null) return t("value.none");
  if (typeof value === "boolean") return t(value ? "value.yes" : "value.no");
  return formats.value.number(value, FIXED_DIGITS[field]);
}

export function ageText(milliseconds: number): string {
  return formats.value.age(milliseconds) ?? t("device.now");
}

export function flawText(flag: string): string {
  const flaw = parseFlaw(flag);
  if (flaw.kind === "other") return flaw.text;
  if (flaw.kind !== "outside") return t(`flaw.${flaw.kind}`);
  const bounds = { low: formats.value.number(flaw.low), high: formats.value.number(flaw.high) };
  return t(flaw.clamped ? "flaw.clamped" : "flaw.outside", bounds);
}
