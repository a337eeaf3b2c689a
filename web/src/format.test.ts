import { describe, expect, test } from "vitest";

import { formatAge, formatCount, formatMoment, formatNumber, formatQuality, formatValue } from "./format";

describe("a number", () => {
  test.each([
    [0, "0"],
    [-0, "0"],
    [645, "645"],
    [25.5, "25.5"],
    [25.4375, "25.4"],
    [3.14159, "3.14"],
    [0.0421, "0.042"],
    [0.00042, "4.2e−4"],
    [-12.4, "−12.4"],
    [1013.25, "1,013.3"],
    [65000.4, "65,000"],
  ])("%d reads %s", (value, shown) => {
    expect(formatNumber(value)).toBe(shown);
  });
});

test("a switch reads yes or no, and a refused value a dash", () => {
  expect([true, false, null].map(formatValue)).toEqual(["yes", "no", "–"]);
});

test("a count takes the plural where it must", () => {
  expect([formatCount(1, "client"), formatCount(0, "client"), formatCount(1000, "device")]).toEqual([
    "1 client",
    "0 clients",
    "1,000 devices",
  ]);
});

test.each([
  [-4000, "just now"],
  [999, "just now"],
  [12_400, "12 s ago"],
  [59_999, "59 s ago"],
  [60_000, "1 min ago"],
  [3_600_000, "1 h ago"],
  [86_400_000 * 3, "3 d ago"],
])("an age of %d ms reads %s", (age, shown) => {
  expect(formatAge(age)).toBe(shown);
});

test("a moment of another day carries its date", () => {
  const now = new Date(2026, 0, 15, 12, 0, 0).getTime();
  expect(formatMoment(new Date(2026, 0, 15, 9, 5, 7).getTime(), now)).toBe("09:05:07");
  expect(formatMoment(new Date(2026, 0, 14, 9, 5, 7).getTime(), now)).toBe("2026-01-14 09:05:07");
});

test.each([
  ["outside 400..65000", "outside 400 to 65000"],
  ["outside -40..85", "outside −40 to 85"],
  ["outside 0.5..1.5", "outside 0.5 to 1.5"],
  ["not a number", "not a number"],
])("the flag %s reads %s", (flag, shown) => {
  expect(formatQuality(flag)).toBe(shown);
});
