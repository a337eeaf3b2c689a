import { expect, test } from "vitest";

import { parseMe, parseToken, renewAfter, roleOf, setupIn, whyLeft } from "./identity";

const ME = { kind: "person", name: "alice", rights: ["command", "see"], scope: null, expires: "2026-01-15T12:00:00.000Z", required: true };

test("who looks is known with his rights and until when", () => {
  const me = parseMe(ME);
  expect(me).toEqual({ name: "alice", rights: new Set(["see", "command"]), bounded: false, expires: Date.UTC(2026, 0, 15, 12), required: true });
  expect(parseMe({ ...ME, scope: { devices: [], sites: ["Home"] } }).bounded).toBe(true);
});

test("what cannot be read gives no rights", () => {
  expect(parseMe(null)).toEqual({ name: "", rights: new Set(), bounded: false, expires: null, required: true });
  expect(parseMe({ ...ME, rights: ["toString", 1, null] }).rights.size).toBe(0);
  expect(parseToken({ access_token: 7, expires_in: "soon" })).toEqual({ text: "", seconds: 0 });
});

test.each([
  [["see"], "viewer"],
  [["see", "command"], "operator"],
  [["administer", "command", "manage", "see", "send"], "admin"],
])("with %j one is %s", (rights, role) => {
  expect(roleOf(parseMe({ ...ME, rights }))).toBe(role);
});

test("a token is renewed before the bridge warns, windows apart, and a short one not without end", () => {
  const hour = 3_600_000;
  expect(renewAfter(hour, 0)).toBe(0.75 * hour);
  expect(renewAfter(hour, 1)).toBeLessThan(renewAfter(hour, 0));
  expect(hour - renewAfter(hour, 0)).toBeGreaterThan(60_000);
  expect(renewAfter(10, 0.5)).toBeGreaterThanOrEqual(1000);
  expect(renewAfter(-10, 0.5)).toBeGreaterThanOrEqual(1000);
});

test.each([
  ["revoked", "invalid", false, "revoked"],
  ["revoked", "replayed", false, "replayed"],
  ["missing", "replayed", true, "replayed"],
  ["expired", "missing", false, "expired"],
  ["missing", "missing", true, "expired"],
  ["missing", "expired", false, "expired"],
  ["missing", "invalid", false, "expired"],
  ["missing", "missing", false, "out"],
] as const)("a token that is %s with a renewal that is %s (time over: %s): %s", (token, renewal, isOver, left) => {
  expect(whyLeft(token, renewal, isOver)).toBe(left);
});

test.each([
  ["#setup=AbC_-9", "AbC_-9"],
  ["#setup=", null],
  ["#setup=a b", null],
  ["#/health", null],
  ["", null],
])("the address %j has the secret %j", (hash, secret) => {
  expect(setupIn(hash)).toBe(secret);
});
