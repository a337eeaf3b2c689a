import { describe, expect, test } from "vitest";

import type { AdviceKey } from "./advice.en";
import { advice as english } from "./advice.en";
import { advice as german } from "./advice.de";
import { advice as spanish } from "./advice.es";
import { advice as french } from "./advice.fr";
import { advice as russian } from "./advice.ru";

const KEYS = Object.keys(english) as AdviceKey[];
const placeholders = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g))].sort();

describe.each([["Russian", russian], ["Spanish", spanish], ["French", french], ["German", german]])("the %s sentences of advice", (_, catalogue) => {
  test("have the English keys in the English order", () => {
    expect(Object.keys(catalogue)).toEqual(KEYS);
  });

  test.each(KEYS)("%s has the English placeholders, and is a sentence", (key) => {
    expect(placeholders(catalogue[key])).toEqual(placeholders(english[key]));
    expect(catalogue[key]).toMatch(/^\p{Lu}.*\.$/u);
    expect(catalogue[key]).not.toBe(english[key]);
  });
});

test("French sentences have no-break spaces before punctuation", () => {
  for (const text of Object.values(french)) expect(text).not.toMatch(/ [:;!?%»]/);
});
