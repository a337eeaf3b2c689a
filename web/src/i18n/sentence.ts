/** Sentences that the bridge sends as a key, numbers and names. */

import { shown, shownDifference } from "../model/units";
import type { Measurement } from "../model/wire";
import { fieldLabel, formats, unitName } from ".";
import { shownAs } from "./units";

/** Numbers that are values of the field. */
const VALUES: ReadonlySet<string> = new Set(["value", "limit", "outside", "low", "high", "before", "after", "mean", "expected"]);
/** Numbers that are differences of values: they are followed by the unit. */
const DIFFERENCES: ReadonlySet<string> = new Set(["natural", "change"]);

/** What a sentence is about: a field, and the unit of its numbers. */
interface Subject {
  readonly field: string;
  readonly unit: string;
}

/** The template with its words and numbers filled in, the numbers and `{unit}` as the page shows them; null if one is missing. */
export function sentence(template: string, subject: Subject, words: Readonly<Record<string, string>>, numbers: ReadonlyMap<string, number>): string | null {
  const conversion = shownAs(subject.field, subject.unit);
  const figure = (name: string, value: number): string => {
    const isDifference = DIFFERENCES.has(name) && template.includes(`{${name}} {unit}`);
    return formats.value.number(isDifference ? shownDifference(value, conversion) : VALUES.has(name) ? shown(value, conversion) : value);
  };
  const unit = unitName(conversion.unit);
  let isComplete = true;
  const text = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = numbers.get(name);
    const word = name === "unit" ? unit : Object.hasOwn(words, name) ? words[name] : value === undefined ? undefined : figure(name, value);
    isComplete &&= word !== undefined;
    return word ?? "";
  });
  return isComplete ? text.replace(/ {2,}/g, " ").replace(/ ([.,)])/g, "$1") : null;
}

/** The label of a field in the language of the page; the name itself if the bridge has not told of it. */
export function fieldName(name: string, table: readonly Measurement[]): string {
  const measurement = table.find((one) => one.name === name);
  return measurement ? fieldLabel(measurement) : name;
}
