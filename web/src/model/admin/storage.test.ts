import { expect, it } from "vitest";

import { obstacleOf, parseProposals, parseRetention } from "./storage";

it("reads what the store holds, and leaves out kinds that it does not know", () => {
  const retention = parseRetention({
    kinds: [{ kind: "readings", days: null, limit: null, settings: ["store.retention_days"], count: 12, oldest: "2026-01-01T00:00:00.000Z" }, { kind: "new" }],
    sizeBytes: 4096,
    store: "sqlite",
  });
  expect(retention.kinds).toEqual([{ kind: "readings", days: null, limit: null, settings: ["store.retention_days"], count: 12, oldest: Date.UTC(2026, 0, 1) }]);
  expect(retention.sizeBytes).toBe(4096);
});

it("reads proposals and their readings", () => {
  const { proposals, unreadable } = parseProposals({
    source: "mqtt",
    proposals: [{ best: true, format: "mapping", pattern: "a/{deviceId}", fields: { co2: "x" }, setting: "{}", readingCount: 1, readings: [{ deviceId: "hall", values: { co2: 600, bad: "x" }, notTaken: { y: "unknown" } }] }],
    unreadable: [{ format: "scalar", reason: "not a number" }],
  });
  expect(proposals[0]?.readings[0]).toEqual({ deviceId: "hall", values: [["co2", 600]], notTaken: [["y", "unknown"]] });
  expect(proposals[0]?.fields).toEqual({ co2: "x" });
  expect(unreadable).toEqual([["scalar", "not a number"]]);
});

it("says what keeps a proposal from being applied", () => {
  const of = (body: object): ReturnType<typeof obstacleOf> => obstacleOf(parseProposals(body));
  expect(of({ source: "http" })).toBe("noTopic");
  expect(of({ source: "mqtt", subscription: null })).toBe(null);
  expect(of({ source: "mqtt", subscription: { id: null, pattern: "a/#" } })).toBe("inFile");
  expect(of({ source: "mqtt", subscription: { id: "ab", pattern: "a/#" } })).toBe("stored");
});
