import { describe, expect, test } from "vitest";

import { Formats } from "./format";

const formats = new Formats("en");

describe("numbers keep their significant digits", () => {
  test.each([
    [0, "0"],
    [-0.5, "−0.5"],
    [21.456, "21.5"],
    [0.042, "0.042"],
    [1013.25, "1,013.3"],
    [65000, "65,000"],
    [0.000012, "1.2e−5"],
  ])("%d is %s", (value, text) => {
    expect(formats.number(value)).toBe(text);
  });

  test("in the format of the locale", () => {
    expect(new Formats("ru").number(1013.25)).toBe("1 013,3".replace(" ", "\u00a0"));
  });
});

describe("ages", () => {
  test.each([
    [-5000, null],
    [999, null],
    [4200, "4s ago"],
    [60_000, "1m ago"],
    [2 * 3_600_000, "2h ago"],
  ])("%d ms", (milliseconds, text) => {
    expect(formats.age(milliseconds)).toBe(text);
  });
});

test("a moment of another day includes the date", () => {
  const now = new Date(2026, 0, 15, 12, 0, 0).getTime();
  expect(formats.moment(now - 3_600_000, now)).toBe("11:00:00");
  expect(formats.moment(now - 86_400_000, now)).toContain("2026");
});

test.each([[0, "0 byte"], [999, "999 byte"], [352_300, "352.3 kB"], [1_200_000_000, "1.2 GB"]])("%d bytes are %s", (size, text) => {
  expect(formats.bytes(size)).toBe(text);
});
