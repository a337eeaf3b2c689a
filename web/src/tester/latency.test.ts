import { expect, test } from "vitest";

import { Latency } from "./latency";

test("there are no figures without samples", () => {
  expect(new Latency().figures).toBeNull();
});

test("figures are the newest, median and highest of the last samples", () => {
  const latency = new Latency();
  for (const milliseconds of [900, 5, 3, 4]) latency.add(milliseconds);
  expect(latency.figures).toEqual({ newest: 4, median: 5, highest: 900 });
  for (let n = 0; n < Latency.MAX_SAMPLES; n++) latency.add(2);
  expect(latency.figures).toEqual({ newest: 2, median: 2, highest: 2 });
});
