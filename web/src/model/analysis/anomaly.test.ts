import { describe, expect, test } from "vitest";

import { NOON, anomalyRecord } from "../testing";
import { evidenceRows, parseAnomaly, parseAnomalyPage } from "./anomaly";

describe("an anomaly", () => {
  test("is read with its sentence, evidence and end", () => {
    const one = parseAnomaly(anomalyRecord("1", { state: "wrong", markedBy: "ann", comment: "The window was open." }));
    expect(one).toMatchObject({ id: "1", kind: "stuck", fields: ["temperature"], since: NOON, markedBy: "ann", comment: "The window was open." });
    expect(one?.parameters.get("limitHours")).toBe(24);
  });

  test.each([
    ["no object", null],
    ["no id", { id: "" }],
    ["a state that this page does not know", { state: "doubtful" }],
  ])("is not read with %s", (_, over) => {
    expect(parseAnomalyPage({ anomalies: [over === null ? null : anomalyRecord("1", over)] }).items).toEqual([]);
  });

  test("of a later kind, and with hostile parameters, is kept", () => {
    const one = parseAnomaly(anomalyRecord("1", { kind: "haunted", parameters: { value: "x", __proto__: 3, hours: Number.NaN, limitHours: 5 } }));
    expect(one?.kind).toBeNull();
    expect([...(one?.parameters ?? [])]).toEqual([["limitHours", 5]]);
  });
});

test("evidence has the values of both sensors by time, the newest if there are many", () => {
  const at = (minutes: number): string => new Date(NOON + minutes * 60_000).toISOString();
  const one = parseAnomaly(anomalyRecord("1", {
    samples: [{ at: at(2), value: 22 }, { at: at(0), value: 20 }, { at: at(1), value: null }],
    neighbourSamples: [{ at: at(0), value: 19 }, { at: at(1), value: 18 }],
  }));
  if (one === null) throw new Error("not an anomaly");
  expect(evidenceRows(one, 9)).toEqual([
    { at: NOON, value: 20, neighbour: 19 },
    { at: NOON + 60_000, value: null, neighbour: 18 },
    { at: NOON + 120_000, value: 22, neighbour: null },
  ]);
  expect(evidenceRows(one, 1)).toEqual([{ at: NOON + 120_000, value: 22, neighbour: null }]);
});
