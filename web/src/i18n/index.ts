import { computed, signal } from "@preact/signals";

import { parseQualityFlag } from "../model/devices/quality-flag";
import type { Measurement, Value } from "../model/wire";
import type { Messages as DeviceAssessment } from "../standards/messages.en";
import { messages as meaning } from "../standards/messages.en";
import type { Translated } from "./en";
import { en as page } from "./en";
import { Formats } from "./format";

const en = { ...page, ...meaning } as const;

export type Key = keyof typeof en;
/** What another language must have: without one of these keys it does not build. */
export type Messages = Translated & DeviceAssessment;

/** The languages there are, by their own names; all but English are loaded when they are wanted. */
export const LANGUAGES = { en: "English", ru: "Русский", es: "Español", fr: "Français" } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Readonly<Record<Language, () => Promise<Messages>>> = {
  en: () => Promise.resolve(en),
  ru: async () => (await import("./ru")).ru,
  es: async () => (await import("./es")).es,
  fr: async () => (await import("./fr")).fr,
};

const language = signal<{ readonly code: Language; readonly messages: Messages }>({ code: "en", messages: en });

/** Numbers and times of the page's language; with the reader's region where it is the same language. */
export const formats = computed(() => {
  const own = globalThis.navigator?.languages.find((one) => one.split("-")[0] === language.value.code);
  return new Formats(own ?? language.value.code);
});

/** When its texts are there; what is on screen changes with them. */
export async function setLanguage(code: Language): Promise<void> {
  language.value = { code, messages: await CATALOGUES[code]() };
}

export function currentLanguage(): Language {
  return language.value.code;
}

export function asLanguage(tag: string): Language | null {
  const code = tag.split("-")[0] ?? "";
  return Object.hasOwn(LANGUAGES, code) ? (code as Language) : null;
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

export function flagText(flag: string): string {
  const flaw = parseQualityFlag(flag);
  if (flaw.kind === "other") return flaw.text;
  if (flaw.kind !== "outside") return t(`flag.${flaw.kind}`);
  const bounds = { low: formats.value.number(flaw.low), high: formats.value.number(flaw.high) };
  return t(flaw.clamped ? "flag.clamped" : "flag.outside", bounds);
}
