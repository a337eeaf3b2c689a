import { expect, test } from "vitest";

import { NOON, alarm } from "../testing";
import { alarmSpans } from "./spans";

const at = (minutes: number) => new Date(NOON + minutes * 60_000).toISOString();
const SPAN = { from: NOON, to: NOON + 60 * 60_000 };
const spans = (...overs: Record<string, unknown>[]) =>
  alarmSpans(overs.map((over, number) => alarm(String(number), over)), "coPpm", SPAN).map(({ from, to }) => [(from - NOON) / 60_000, (to - NOON) / 60_000]);

test("an alarm is drawn from when it was raised until it cleared, within the chart", () => {
  expect(spans({ raisedAt: at(10), clearedAt: at(20), state: "latched" }, { raisedAt: at(-10), clearedAt: at(5), state: "normal" })).toEqual([[10, 20], [0, 5]]);
});

test("one that is active reaches to the end of the chart", () => {
  expect(spans({ raisedAt: at(50) }, { raisedAt: at(55), state: "acknowledged" })).toEqual([[50, 60], [55, 60]]);
});

test("one that became known later is drawn where it was", () => {
  expect(spans({ state: "normal", raisedAt: at(5), clearedAt: at(59), past: { from: at(5), to: at(15), readings: 3 } })).toEqual([[5, 15]]);
});

test("others are not drawn", () => {
  expect(spans({ field: "co2" }, { raisedAt: at(-20), clearedAt: at(-10), state: "normal" }, { raisedAt: at(70) }, { raisedAt: null }, { raisedAt: at(5), clearedAt: null, state: "normal" })).toEqual([]);
});
