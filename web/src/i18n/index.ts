import { computed, signal } from "@preact/signals";

import { parseQualityFlag } from "../model/devices/quality-flag";
import type { Measurement, Value } from "../model/wire";
import type { AdviceMessages } from "../standards/advice.en";
import { advice } from "../standards/advice.en";
import type { AlarmMessages } from "../standards/alarms.en";
import { alarms } from "../standards/alarms.en";
import type { AnomalyMessages } from "../standards/anomalies.en";
import { anomalies } from "../standards/anomalies.en";
import type { Messages as AssessmentMessages } from "../standards/messages.en";
import { messages as assessments } from "../standards/messages.en";
import type { Translated } from "./en";
import { en as page } from "./en";
import { Formats } from "./format";

const en = { ...page, ...assessments, ...alarms, ...anomalies, ...advice } as const;

export type Key = keyof typeof en;
/** A language that lacks one of these keys does not compile. */
export type Messages = Translated & AssessmentMessages & AlarmMessages & AnomalyMessages & AdviceMessages;

/** The supported languages by their own names. All but English are loaded on demand. */
export const LANGUAGES = { en: "English", ru: "Русский", es: "Español", fr: "Français", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Readonly<Record<Language, () => Promise<Messages>>> = {
  en: () => Promise.resolve(en),
  ru: async () => (await import("./ru")).ru,
  es: async () => (await import("./es")).es,
  fr: async () => (await import("./fr")).fr,
  de: async () => (await import("./de")).de,
};

const language = signal<{ readonly code: Language; readonly messages: Messages }>({ code: "en", messages: en });

/** Formats of the current language, with the browser's region if it has the same language. */
export const formats = computed(() => {
  const regional = globalThis.navigator?.languages.find((one) => one.split("-")[0] === language.value.code);
  return new Formats(regional ?? language.value.code);
});

/** Resolves once the texts are loaded; components that use them are rendered again. */
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

type Placeholders<Text> = Text extends `${string}{${infer Name}}${infer Rest}` ? Name | Placeholders<Rest> : never;
type PlaceholdersOf<Message> = Message extends string ? Placeholders<Message> : Message extends { other: infer Other } ? Placeholders<Other> | "count" : never;
type Values<K extends Key> = [PlaceholdersOf<(typeof en)[K]>] extends [never] ? [] : [Readonly<Record<PlaceholdersOf<(typeof en)[K]>, string | number>>];

/** The text of a key with its placeholders filled in. Numbers are formatted as counts. */
export function t<K extends Key>(key: K, ...[given]: Values<K>): string {
  const message = language.value.messages[key];
  const values: Readonly<Record<string, string | number>> = given ?? {};
  const text = typeof message === "string" ? message : message[formats.value.plural(Number(values["count"]))] ?? message.other;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    return typeof value === "number" ? formats.value.count(value) : (value ?? "");
  });
}

const SENT = [assessments, alarms, anomalies, advice];

/** The text of a key that the bridge sent; null when this page does not know it, or when it is no text about the air, an alarm, an anomaly or what to do. */
export function sentText(key: string): string | null {
  if (!SENT.some((one) => Object.hasOwn(one, key))) return null;
  return language.value.messages[key as keyof AssessmentMessages | keyof AlarmMessages | keyof AnomalyMessages | keyof AdviceMessages];
}

/** The translated label, else the bridge's. */
export function fieldLabel(measurement: Measurement): string {
  const messages: Readonly<Record<string, unknown>> = language.value.messages;
  const translated = messages[`field.${measurement.name}`];
  return typeof translated === "string" ? translated : measurement.label;
}

/** Fields with a fixed number of decimal places, whose width would change otherwise. */
const FIXED_DIGITS: Readonly<Record<string, number>> = { temperature: 1, humidity: 1, pressure: 1, noise: 1, batteryVoltage: 2 };

export function valueText(value: Value | null, field = ""): string {
  if (value === null) return t("value.none");
  if (typeof value === "boolean") return t(value ? "value.yes" : "value.no");
  return formats.value.number(value, FIXED_DIGITS[field]);
}

export function ageText(milliseconds: number): string {
  return formats.value.age(milliseconds) ?? t("device.now");
}

export function flagText(flag: string): string {
  const parsed = parseQualityFlag(flag);
  if (parsed.kind === "other") return parsed.text;
  if (parsed.kind === "failure") return t("flag.failure", { code: formats.value.number(parsed.code) });
  if (parsed.kind !== "outside") return t(`flag.${parsed.kind}`);
  const bounds = { low: formats.value.number(parsed.low), high: formats.value.number(parsed.high) };
  return t(parsed.clamped ? "flag.clamped" : "flag.outside", bounds);
}
