import { computed, signal } from "@preact/signals";

import { parseQualityFlag } from "../model/devices/quality-flag";
import { shown, shownDifference } from "../model/units";
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
import { shownAs } from "./units";

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
const FIXED_DIGITS_OF_UNIT: Readonly<Record<string, number>> = { inHg: 2 };

/** A value of a field in the unit of the page, without that unit. `unit` is that of the value, by default the field's own. */
export function valueText(value: Value | null, field = "", unit?: string): string {
  if (value === null) return t("value.none");
  if (typeof value === "boolean") return t(value ? "value.yes" : "value.no");
  const conversion = shownAs(field, unit);
  return formats.value.number(shown(value, conversion), FIXED_DIGITS_OF_UNIT[conversion.unit] ?? FIXED_DIGITS[field]);
}

/** The unit in which the page shows a field's values in `unit`, by its name in the language. */
export function unitText(field: string, unit: string): string {
  return unitName(shownAs(field, unit).unit);
}

/** A unit by its name in the language; one that is not known as it is. */
export function unitName(unit: string): string {
  const messages: Readonly<Record<string, unknown>> = language.value.messages;
  const name = messages[`unit.name.${unit}`];
  return typeof name === "string" ? name : unit;
}

/** A value with its unit, as `valueText` and `unitText`. */
export function quantityText(value: Value | null, field: string, unit: string): string {
  return typeof value === "number" ? withUnit(valueText(value, field, unit), unitText(field, unit)) : valueText(value);
}

/** As `quantityText`, without decimal places that say nothing: for limits. */
export function boundText(value: number, field: string, unit: string): string {
  const conversion = shownAs(field, unit);
  return withUnit(formats.value.number(shown(value, conversion)), unitName(conversion.unit));
}

/** A difference of two values of a field in `unit`, such as a jump or an error. */
export function differenceText(value: number, field: string, unit: string): string {
  const conversion = shownAs(field, unit);
  return withUnit(formats.value.number(shownDifference(value, conversion)), unitName(conversion.unit));
}

function withUnit(figure: string, unit: string): string {
  return unit ? `${figure} ${unit}` : figure;
}

export function ageText(milliseconds: number): string {
  return formats.value.age(milliseconds) ?? t("device.now");
}

/** `field` is whose value the flag is of. */
export function flagText(flag: string, field = ""): string {
  const parsed = parseQualityFlag(flag);
  if (parsed.kind === "other") return parsed.text;
  if (parsed.kind === "failure") return t("flag.failure", { code: formats.value.number(parsed.code) });
  if (parsed.kind !== "outside") return t(`flag.${parsed.kind}`);
  const figure = (value: number): string => formats.value.number(shown(value, shownAs(field)));
  const bounds = { low: figure(parsed.low), high: figure(parsed.high) };
  return t(parsed.clamped ? "flag.clamped" : "flag.outside", bounds);
}
