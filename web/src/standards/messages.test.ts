import { describe, expect, test } from "vitest";

import { messages as english, type MessageKey } from "./messages.en";
import { messages as german } from "./messages.de";
import { messages as spanish } from "./messages.es";
import { messages as french } from "./messages.fr";
import { messages as russian } from "./messages.ru";

const KEYS = Object.keys(english) as MessageKey[];
const placeholders = (text: string): string[] => text.match(/\{\w+\}/g) ?? [];
/** Numbers must be the same in every language, apart from the decimal separator. */
const numbers = (text: string): string[] => (text.replaceAll(",", ".").match(/\d+(\.\d+)?/g) ?? []).sort();

describe.each([["Russian", russian], ["Spanish", spanish], ["French", french], ["German", german]])("the %s catalogue", (_, catalogue) => {
  test("has the English keys in the English order", () => {
    expect(Object.keys(catalogue)).toEqual(KEYS);
  });

  test.each(KEYS)("%s has the English placeholders and numbers", (key) => {
    expect(catalogue[key].trim()).toBe(catalogue[key]);
    expect(catalogue[key]).not.toBe("");
    expect(placeholders(catalogue[key])).toEqual(placeholders(english[key]));
    expect(numbers(catalogue[key])).toEqual(numbers(english[key]));
  });
});

test("a missing key does not compile", () => {
  const { "index.co2": _, ...rest } = english;
  // @ts-expect-error: a language without one of the keys
  const catalogue: typeof russian = rest;
  expect(Object.keys(catalogue)).toHaveLength(KEYS.length - 1);
});
