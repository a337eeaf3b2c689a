import { expect, test } from "vitest";

import { NOON } from "../testing";
import { BridgeClock } from "./clock";

test("the clock follows the bridge, except for the second that its Date header rounds off", () => {
  const clock = new BridgeClock();
  clock.observe(NOON + 1000, NOON);
  expect(clock.at(NOON)).toBe(NOON);
  clock.observe(NOON + 90_000, NOON);
  expect(clock.at(NOON)).toBe(NOON + 90_000);
});
