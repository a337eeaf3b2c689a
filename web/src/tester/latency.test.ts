import { expect, test } from "vitest";

import { Latency } from "./latency";

test("nothing is known before the first", () => {
  expect(new Latency().figures).toBeNull();
});

test("the newest, the middle one and the highest of the newest", () => {
  const latency = new Latency();
  for (const milliseconds of [900, 5, 3, 4]) latency.add(milliseconds);
  expect(latency.figures).toEqual({ newest: 4, median: 5, highest: 900 });
  for (let n = 0; n < Latency.KEPT; n++) latency.add(2);
  expect(latency.figures).toEqual({ newest: 2, median: 2, highest: 2 });
});
