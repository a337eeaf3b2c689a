import { describe, expect, test } from "vitest";

import { en } from "./en";
import { fieldLabel, flawText, t, valueText } from ".";

test("holes are filled, and a count chooses its form", () => {
  expect(t("overview.attention", { count: 1 })).toBe("1 device needs attention");
  expect(t("overview.attention", { count: 1200 })).toBe("1,200 devices need attention");
});

test("what fills a hole is not read as a message", () => {
  expect(t("concern.quality", { field: "{flaw}", flaw: "$&" })).toBe("{flaw}: $&");
});

test("a flag is said as a person would", () => {
  expect(flawText("outside -40..85")).toBe("outside −40 to 85");
  expect(flawText("of a later version")).toBe("of a later version");
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
