import { describe, expect, test } from "vitest";

import { NOON } from "../testing";
import { DeliveryDelay } from "./delivery-delay";

describe("the delivery delay", () => {
  test("does not depend on clock differences", () => {
    const delay = new DeliveryDelay();
    for (let n = 0; n < 5; n += 1) delay.observe(NOON + n, NOON + n + 3_600_000);
    expect(delay.milliseconds).toBe(0);
    delay.observe(NOON + 5, NOON + 3_604_005);
    expect(delay.milliseconds).toBe(4000);
  });

  test("is zero before the first message and after a reset", () => {
    const delay = new DeliveryDelay();
    expect(delay.milliseconds).toBe(0);
    delay.observe(NOON, NOON);
    delay.observe(NOON, NOON + 9000);
    delay.reset();
    expect(delay.milliseconds).toBe(0);
  });
});
