/** Sentences that the bridge sends as a key, numbers and names. */

import type { Measurement } from "../model/wire";
import { fieldLabel, formats } from ".";

/** The template with its words and numbers filled in; null if one is missing. */
export function sentence(template: string, words: Readonly<Record<string, string>>, numbers: ReadonlyMap<string, number>): string | null {
  let isComplete = true;
  const text = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = numbers.get(name);
    const word = Object.hasOwn(words, name) ? words[name] : value === undefined ? undefined : formats.value.number(value);
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
