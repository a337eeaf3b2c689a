import { expect, test } from "vitest";

import { parseQualityFlag } from "./quality-flag";

test.each([
  ["outside 400..65000", { kind: "outside", low: 400, high: 65000, clamped: false }],
  ["outside -40..85", { kind: "outside", low: -40, high: 85, clamped: false }],
  ["outside 0..100, clamped", { kind: "outside", low: 0, high: 100, clamped: true }],
  ["outside 0..1e+06", { kind: "outside", low: 0, high: 1_000_000, clamped: false }],
  ["sensor failure: 65535 is a code, not a value", { kind: "failure", code: 65535 }],
  ["sensor failure: 6553.5 is a code, not a value", { kind: "failure", code: 6553.5 }],
  ["sensor failure: all is a code, not a value", { kind: "other", text: "sensor failure: all is a code, not a value" }],
  ["not a number", { kind: "notANumber" }],
  ["below 1 ppb: probably in ppm or mg/m³, state its unit", { kind: "belowOnePpb" }],
  ["below 1 %: probably a fraction, state its unit", { kind: "belowOnePercent" }],
  ["between 1 and 5 %: perhaps in volts, state its unit", { kind: "perhapsVolts" }],
  ["something new", { kind: "other", text: "something new" }],
  ["constructor", { kind: "other", text: "constructor" }],
])("%j is parsed", (text, flag) => {
  expect(parseQualityFlag(text)).toEqual(flag);
});
