import { expect, test } from "vitest";

import { NOON } from "../testing";
import { asTransitionKind, parseAlarmDetail } from "./detail";

const at = (seconds: number) => new Date(NOON + seconds * 1000).toISOString();

test("what happened is listed from the beginning, and who was notified", () => {
  const body = {
    alarm: {},
    transitions: [
      { id: "2", kind: "acknowledged", at: at(9), by: "ann", comment: "aired", held: false, alarm: {} },
      { id: "1", kind: "raised", at: at(0), by: null, comment: null, held: true, alarm: {} },
      { id: "3", kind: "later", at: at(10) },
      { id: "4", at: "soon" },
      null,
    ],
    deliveries: [{ target: "family", state: "failed", attempts: 3, at: at(1), error: "no route" }, { target: "x", state: "dancing" }, 7],
  };
  const { transitions, deliveries } = parseAlarmDetail(body);
  expect(transitions.map(({ id, kind, by, comment, isHeld }) => [id, kind, by, comment, isHeld])).toEqual([
    ["1", "raised", null, null, true],
    ["2", "acknowledged", "ann", "aired", false],
    ["3", "later", null, null, false],
  ]);
  expect(deliveries).toEqual([{ target: "family", state: "failed", attempts: 3, at: NOON + 1000, error: "no route" }]);
  expect([asTransitionKind("past"), asTransitionKind("later"), asTransitionKind("toString")]).toEqual(["past", null, null]);
});

test.each([[null], [{}], [{ transitions: 7, deliveries: "x" }]])("%j has nothing", (body) => {
  expect(parseAlarmDetail(body)).toEqual({ transitions: [], deliveries: [] });
});
