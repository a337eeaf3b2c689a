import { expect, test } from "vitest";

import { valueIn, writeParam } from "../view-param";
import { RANGE } from "./range-param";
import { DAY, HOUR, MAX_LENGTH, MIN_LENGTH, live } from "./time-range";

const AT = Date.UTC(2026, 10, 30, 8);

test.each([
  [live(DAY), "24h"],
  [live(1.5 * HOUR), "5400s"],
  [{ live: false, span: { from: AT, to: AT + HOUR } } as const, "2026-11-30T08:00:00Z..2026-11-30T09:00:00Z"],
])("the range %o is %s", (range, text) => {
  expect(RANGE.format(range)).toBe(text);
  expect(valueIn(RANGE, writeParam(null, "range", text))).toEqual(range);
});

test.each([
  "24", "constructor", "9s", "999999999s", "0s", "..", "2026-11-30T08:00:00Z", "2026-13-30T08:00:00Z..2026-11-30T09:00:00Z",
  "2026-11-30T09:00:00Z..2026-11-30T08:00:00Z", "1926-11-30T08:00:00Z..2026-11-30T08:00:00Z", "2026-11-30T08:00..2026-11-30T09:00",
  "2026-11-30T08:00Z..2026-11-30T09:00Z..2026-11-30T10:00Z",
])("%s is no range", (text) => {
  expect(RANGE.parse(text)).toBeNull();
});

test("the shortest and the longest range survive rounding", () => {
  for (const length of [MIN_LENGTH, MIN_LENGTH + 400, MAX_LENGTH]) {
    expect(RANGE.parse(RANGE.format({ live: false, span: { from: AT + 499, to: AT + 499 + length } }))).not.toBeNull();
    expect(RANGE.parse(RANGE.format(live(length)))).not.toBeNull();
  }
});
