import { expect, test } from "vitest";

import { asAuditAction, auditSearch, outcomeOf, parseAudit } from "./audit";

const RECORD = {
  _id: "0123456789abcdef01234567", timestamp: "2026-01-15T12:00:00.000Z", act: "refused", kind: "person", by: "eve",
  address: "192.0.2.7", about: "GET /api/v1/users", more: { why: "this needs the right to administer" }, times: 3,
};

test("an event has action, actor, target, address and count", () => {
  const { events, next } = parseAudit({ acts: [RECORD], next: RECORD._id });
  expect(events).toEqual([
    {
      id: RECORD._id, at: Date.UTC(2026, 0, 15, 12), action: "refused", actor: "eve", actorKind: "person", address: "192.0.2.7",
      target: "GET /api/v1/users", details: [["why", "this needs the right to administer"]], count: 3,
    },
  ]);
  expect(next).toBe(RECORD._id);
});

test("invalid events are dropped, and invalid texts are empty", () => {
  expect(parseAudit({ acts: [null, {}, { ...RECORD, timestamp: "soon" }], next: null })).toEqual({ events: [], next: null });
  expect(parseAudit({ acts: [{ ...RECORD, more: null, by: 7, times: "3" }] }).events).toMatchObject([{ details: [], actor: "", count: 1 }]);
});

test("empty filters are left out of the query", () => {
  const nothing = { action: "", actor: " ", target: "", before: null };
  expect(auditSearch(nothing)).toBe("limit=50");
  const query = auditSearch({ ...nothing, action: "login refused", actor: " a&b ", before: RECORD._id });
  expect(query).toBe(`act=login+refused&by=a%26b&before=${RECORD._id}&limit=50`);
});

test.each([
  ["login", "done"],
  ["login delayed", "delayed"],
  ["login refused", "refused"],
  ["refresh replayed", "refused"],
  ["refused", "refused"],
  ["of a later version", "done"],
])("the outcome of %j is %s", (action, outcome) => {
  expect(outcomeOf(action)).toBe(outcome);
});

test("an unknown action has no name", () => {
  expect(asAuditAction("command")).toBe("command");
  expect(asAuditAction("toString")).toBeNull();
});
