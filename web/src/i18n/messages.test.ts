import { describe, expect, test } from "vitest";

import { asLanguage, fieldLabel, flagText, setLanguage, t, valueText } from ".";
import { de } from "./de";
import { en } from "./en";
import { es } from "./es";
import { FIELDS } from "./fields";
import { fr } from "./fr";
import { ru } from "./ru";

test("placeholders are filled in, and a count selects the plural form", () => {
  expect(t("overview.attention", { count: 1 })).toBe("1 device needs attention");
  expect(t("overview.attention", { count: 1200 })).toBe("1,200 devices need attention");
});

test("values are not interpreted as placeholders", () => {
  expect(t("issue.quality", { field: "{flag}", flag: "$&" })).toBe("{flag}: $&");
});

test("a known flag is translated, and an unknown one is kept", () => {
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

test("an unknown field has the bridge's label, even if it is named like an object property", () => {
  expect(fieldLabel({ name: "constructor", label: "Odd", unit: "", low: null, high: null })).toBe("Odd");
});

describe("the catalogue", () => {
  test.each(Object.entries(en).filter(([, message]) => typeof message !== "string"))("%s has the same placeholders in every plural form", (_, message) => {
    const forms = Object.values(message as Record<string, string>).map((form) => [...form.matchAll(/\{\w+\}/g)].map(String).sort().join());
    const other = forms.at(-1) ?? "";
    for (const form of forms) expect(other).toContain(form);
  });
});

describe.each([["ru", ru], ["es", es], ["fr", fr], ["de", de]] as const)("the %s catalogue", (language, catalogue) => {
  const formsOf = (message: unknown): string[] => (typeof message === "string" ? [message] : Object.values(message as Record<string, string>));
  const placeholders = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g))].sort();
  const texts: Readonly<Record<string, unknown>> = catalogue;

  test.each(Object.entries(en))("%s has the English placeholders", (key, message) => {
    const english = new Set(formsOf(message).flatMap(placeholders));
    for (const form of formsOf(texts[key])) {
      expect(form.trim()).not.toBe("");
      expect(new Set(placeholders(form))).toEqual(english);
    }
  });

  test("has every plural category of its language", () => {
    const rules = new Intl.PluralRules(language);
    const needed = new Set(Array.from({ length: 2000 }, (_, count) => rules.select(count)));
    const plurals = Object.values(texts).filter((message) => typeof message === "object");
    for (const message of plurals) expect(Object.keys(message as object)).toEqual(expect.arrayContaining([...needed]));
  });

  test("has a label for every measurement", () => {
    for (const field of FIELDS) expect(texts[`field.${field}`]).toBeTruthy();
  });
});

test.each(Object.entries(fr))("the French text %s has no-break spaces before punctuation", (_, message) => {
  for (const form of typeof message === "string" ? [message] : Object.values(message)) expect(form).not.toMatch(/ [:;!?%»]|« /);
});

test("a language uses its own plural rules", async () => {
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

test.each([["fr-CA", "fr"], ["ru", "ru"], ["de-AT", "de"], ["it-IT", null], ["constructor", null], ["", null]])("%j is the language %j", (tag, code) => {
  expect(asLanguage(tag)).toBe(code);
});
