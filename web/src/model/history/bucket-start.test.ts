import { expect, test } from "vitest";

import { bucketStart, timeZoneOf } from "./bucket-start";
import { DAY, HOUR } from "./time-range";

test("days begin at local midnight, also on a day of 23 or 25 hours", () => {
  for (let day = 0; day < 366; day++) {
    const noon = new Date(2026, 0, 1 + day, 12).getTime();
    expect(bucketStart(noon, DAY)).toBe(new Date(2026, 0, 1 + day).getTime());
    expect(bucketStart(new Date(2026, 0, 1 + day, 23, 59).getTime(), DAY)).toBe(new Date(2026, 0, 1 + day).getTime());
  }
});

test("shorter buckets are those of UTC, and need no time zone", () => {
  expect(bucketStart(Date.UTC(2026, 0, 1, 12, 34), HOUR)).toBe(Date.UTC(2026, 0, 1, 12));
  expect(timeZoneOf(HOUR)).toBeNull();
  expect(timeZoneOf(DAY)).toBe(Intl.DateTimeFormat().resolvedOptions().timeZone);
});
