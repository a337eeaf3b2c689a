import { describe, expect, test } from "vitest";

import type { AlarmKey } from "./alarms.en";
import { alarms as english } from "./alarms.en";
import { alarms as german } from "./alarms.de";
import { alarms as spanish } from "./alarms.es";
import { alarms as french } from "./alarms.fr";
import { alarms as russian } from "./alarms.ru";

const KEYS = Object.keys(english) as AlarmKey[];
const placeholders = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
/** Numbers must be the same in every language, apart from the decimal separator. */
const numbers = (text: string): string[] => (text.replaceAll(",", ".").match(/\d+(\.\d+)?/g) ?? []).sort();

describe.each([["Russian", russian], ["Spanish", spanish], ["French", french], ["German", german]])("the %s texts of alarms", (_, catalogue) => {
  test("have the English keys in the English order", () => {
    expect(Object.keys(catalogue)).toEqual(KEYS);
  });

  test.each(KEYS)("have the English placeholders and numbers: %s", (key) => {
    expect(catalogue[key].trim()).toBe(catalogue[key]);
    expect(catalogue[key]).not.toBe("");
    expect(placeholders(catalogue[key])).toEqual(placeholders(english[key]));
    expect(numbers(catalogue[key])).toEqual(numbers(english[key]));
  });
});
