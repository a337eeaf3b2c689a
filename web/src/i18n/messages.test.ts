import { describe, expect, test } from "vitest";

import { asLanguage, fieldLabel, flagText, setLanguage, t, valueText } from ".";
import { en } from "./en";
import { es } from "./es";
import { FIELDS } from "./fields";
import { fr } from "./fr";
import { ru } from "./ru";

test("holes are filled, and a count chooses its form", () => {
  expect(t("overview.attention", { count: 1 })).toBe("1 device needs attention");
  expect(t("overview.attention", { count: 1200 })).toBe("1,200 devices need attention");
});

test("what fills a hole is not read as a message", () => {
  expect(t("issue.quality", { field: "{flag}", flag: "$&" })).toBe("{flag}: $&");
});

test("a flag is said as a person would", () => {
  expect(flagText("outside -40..85")).toBe("outside −40 to 85");
  expect(flagText("of a later version")).toBe("of a later version");
});

test.each([
  [null, "", "–"],
  [true, "", "yes"],
  [0, "", "0"],
  [25, "temperature", "25.0"],
  [645, "co2", "645"],
])("%j of %s is %s", (value, field, text) => {
  expect(valueText(value, field)).toBe(text);
});

test("a field has the bridge's label, even one of a strange name", () => {
  expect(fieldLabel({ name: "constructor", label: "Odd", unit: "", low: null, high: null })).toBe("Odd");
});

describe("the catalogue", () => {
  test.each(Object.entries(en).filter(([, message]) => typeof message !== "string"))("%s has the same holes in every form", (_, message) => {
    const forms = Object.values(message as Record<string, string>).map((form) => [...form.matchAll(/\{\w+\}/g)].map(String).sort().join());
    const other = forms.at(-1) ?? "";
    for (const form of forms) expect(other).toContain(form);
  });
});

describe.each([["ru", ru], ["es", es], ["fr", fr]] as const)("the %s catalogue", (language, catalogue) => {
  const formsOf = (message: unknown): string[] => (typeof message === "string" ? [message] : Object.values(message as Record<string, string>));
  const holes = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g))].sort();
  const texts: Readonly<Record<string, unknown>> = catalogue;

  test.each(Object.entries(en))("%s has the English holes", (key, message) => {
    const english = new Set(formsOf(message).flatMap(holes));
    for (const form of formsOf(texts[key])) {
      expect(form.trim()).not.toBe("");
      expect(new Set(holes(form))).toEqual(english);
    }
  });

  test("has every plural that its language makes of numbers below a million", () => {
    const rules = new Intl.PluralRules(language);
    const needed = new Set(Array.from({ length: 2000 }, (_, count) => rules.select(count)));
    const plurals = Object.values(texts).filter((message) => typeof message === "object");
    for (const message of plurals) expect(Object.keys(message as object)).toEqual(expect.arrayContaining([...needed]));
  });

  test("names every measurement", () => {
    for (const field of FIELDS) expect(texts[`field.${field}`]).toBeTruthy();
  });
});

test("a language is currentLanguage by its own rules", async () => {
  await setLanguage("ru");
  expect([1, 3, 5, 21].map((count) => t("overview.attention", { count }))).toEqual([
    "1 устройство требует внимания",
    "3 устройства требуют внимания",
    "5 устройств требуют внимания",
    "21 устройство требует внимания",
  ]);
  expect(fieldLabel({ name: "temperature", label: "Temperature", unit: "°C", low: null, high: null })).toBe("Температура");
  await setLanguage("en");
});

test.each([["fr-CA", "fr"], ["ru", "ru"], ["de-DE", null], ["constructor", null], ["", null]])("%j is the language %j", (tag, code) => {
  expect(asLanguage(tag)).toBe(code);
});
