import { expect, test } from "vitest";

import { FIELDS } from "../../i18n/fields";
import { axisRange, minSpan, stepDigits } from "./min-span";

test("every field that is a number has a least range of its own", () => {
  const missing = FIELDS.filter((name) => name !== "flameDetected" && minSpan(name, 0) === minSpan("unknown", 0));
  expect(missing).toEqual([]);
});

test("noise around a temperature does not fill the axis, and a real change does", () => {
  expect(axisRange(21.4, 21.5, minSpan("temperature", 21.45))).toEqual([20.45, 22.45]);
  const [low, high] = axisRange(15, 25, minSpan("temperature", 20));
  expect([low, high]).toEqual([14.25, 25.75]);
});

test("what cannot be negative begins at zero and keeps its range", () => {
  expect(axisRange(0, 0.4, minSpan("pm25", 0.2))).toEqual([0, 10]);
  expect(axisRange(-0.2, 0.4, 2)[0]).toBeLessThan(-0.2);
});

test("a field that is not known gets a share of its value", () => {
  expect(minSpan("else", 50)).toBe(1);
  expect(minSpan("else", 0)).toBeGreaterThan(0);
});

test("labels of an axis have the places of their step", () => {
  expect([1000, 50, 2.5, 0.25, 0.2, 0.001].map(stepDigits)).toEqual([0, 0, 1, 2, 1, 3]);
  expect(stepDigits(0.00001)).toBe(0); // left to the format of small numbers
});
