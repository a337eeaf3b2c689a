import { describe, expect, test } from "vitest";

import { device } from "../model/testing";
import { nextBatch } from "./history-loader";

const named = (count: number, name: string) => Array.from({ length: count }, (_, number) => device(`${name}${number}`));

describe("a batch of devices", () => {
  test("is the last ones that were requested", () => {
    expect(nextBatch(named(30, "d"), 25).map(({ id }) => id)).toEqual(named(30, "d").slice(5).map(({ id }) => id));
  });

  test("is shorter for long ids of other scripts, which one URL could not name, and never empty", () => {
    const devices = named(30, "я".repeat(120));
    const batch = nextBatch(devices, 25);
    expect(batch.map(({ id }) => id)).toEqual(devices.slice(-batch.length).map(({ id }) => id));
    expect(new URLSearchParams(batch.map(({ id }) => ["device", id])).toString().length).toBeLessThan(6001);
    expect(batch.length).toBeGreaterThan(5);
    expect(nextBatch([device("🌡".repeat(128))], 25)).toHaveLength(1);
  });
});
