import { describe, expect, test } from "vitest";

import { reasons as german } from "./reasons.de";
import type { ReasonKey } from "./reasons.en";
import { reasons as english } from "./reasons.en";
import { reasons as spanish } from "./reasons.es";
import { reasons as french } from "./reasons.fr";
import { reasons as russian } from "./reasons.ru";

const KEYS = Object.keys(english) as ReasonKey[];
const placeholders = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();

describe.each([["Russian", russian], ["Spanish", spanish], ["French", french], ["German", german]])("the %s reasons", (_, catalogue) => {
  test("have the English keys in the English order", () => {
    expect(Object.keys(catalogue)).toEqual(KEYS);
  });

  test("have the English placeholders, and no blanks at their ends", () => {
    for (const key of KEYS) {
      expect(placeholders(catalogue[key]), key).toEqual(placeholders(english[key]));
      expect(catalogue[key].trim(), key).toBe(catalogue[key]);
      expect(catalogue[key], key).not.toBe("");
    }
  });
});

test("French reasons have no-break spaces before punctuation", () => {
  for (const text of Object.values(french)) expect(text).not.toMatch(/ [:;!?%»]|« /);
});
