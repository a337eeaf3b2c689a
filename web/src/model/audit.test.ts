import { expect, test } from "vitest";

import { asActName, outcomeOf, parseAudit, queryOf } from "./audit";

const ACT = {
  _id: "0123456789abcdef01234567", timestamp: "2026-01-15T12:00:00.000Z", act: "refused", kind: "person", by: "eve",
  address: "192.0.2.7", about: "GET /api/v1/users", more: { why: "this needs the right to administer" }, times: 3,
};

test("an act is who did what, to whom, from where, how often", () => {
  const { acts, next } = parseAudit({ acts: [ACT], next: ACT._id });
  const { _id: id, timestamp: _, more, ...same } = ACT;
  expect(acts).toEqual([{ ...same, id, at: Date.UTC(2026, 0, 15, 12), more: Object.entries(more) }]);
  expect(next).toBe(id);
});

test("what is no act is passed over, and what is no text is none", () => {
  expect(parseAudit({ acts: [null, {}, { ...ACT, timestamp: "soon" }], next: null })).toEqual({ acts: [], next: null });
  expect(parseAudit({ acts: [{ ...ACT, more: null, by: 7, times: "3" }] }).acts).toMatchObject([{ more: [], by: "", times: 1 }]);
});

test("what is not asked for is not in the query", () => {
  const nothing = { act: "", by: " ", about: "", before: null };
  expect(queryOf(nothing)).toBe("limit=50");
  expect(queryOf({ ...nothing, act: "login refused", by: " a&b ", before: ACT._id })).toBe(`act=login+refused&by=a%26b&before=${ACT._id}&limit=50`);
});

test.each([
  ["login", "done"],
  ["login delayed", "delayed"],
  ["login refused", "refused"],
  ["refresh replayed", "refused"],
  ["refused", "refused"],
  ["of a later version", "done"],
])("%j came out %s", (act, outcome) => {
  expect(outcomeOf(act)).toBe(outcome);
});

test("an act of a later version has no name here", () => {
  expect(asActName("command")).toBe("command");
  expect(asActName("toString")).toBeNull();
});
