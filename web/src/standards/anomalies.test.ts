import { describe, expect, test } from "vitest";

import type { AnomalyKey } from "./anomalies.en";
import { anomalies as english } from "./anomalies.en";
import { anomalies as german } from "./anomalies.de";
import { anomalies as spanish } from "./anomalies.es";
import { anomalies as french } from "./anomalies.fr";
import { anomalies as russian } from "./anomalies.ru";

const KEYS = Object.keys(english) as AnomalyKey[];
const placeholders = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g))].sort();

describe.each([["Russian", russian], ["Spanish", spanish], ["French", french], ["German", german]])("the %s sentences of anomalies", (_, catalogue) => {
  test("have the English keys in the English order", () => {
    expect(Object.keys(catalogue)).toEqual(KEYS);
  });

  test.each(KEYS)("%s has the English placeholders, and is a sentence", (key) => {
    expect(placeholders(catalogue[key])).toEqual(placeholders(english[key]));
    expect(catalogue[key]).toMatch(/^\{fields?\}.*\.$/);
    expect(catalogue[key]).not.toBe(english[key]);
  });
});

test("French sentences have no-break spaces before punctuation", () => {
  for (const text of Object.values(french)) expect(text).not.toMatch(/ [:;!?%»]/);
});
