import { expect, test } from "vitest";

import { parseIdentity, parseToken, renewalDelay, roleOf, sessionEndReason, setupLinkIn } from "./identity";

const ME = { kind: "person", name: "alice", rights: ["command", "see"], scope: null, expires: "2026-01-15T12:00:00.000Z", required: true };

test("an identity has a name, permissions and an expiry time", () => {
  const identity = parseIdentity(ME);
  expect(identity).toEqual({ name: "alice", permissions: new Set(["see", "command"]), restricted: false, expires: Date.UTC(2026, 0, 15, 12), required: true });
  expect(parseIdentity({ ...ME, scope: { devices: [], sites: ["Home"] } }).restricted).toBe(true);
});

test("an invalid body grants no permissions", () => {
  expect(parseIdentity(null)).toEqual({ name: "", permissions: new Set(), restricted: false, expires: null, required: true });
  expect(parseIdentity({ ...ME, rights: ["toString", 1, null] }).permissions.size).toBe(0);
  expect(parseToken({ access_token: 7, expires_in: "soon" })).toEqual({ text: "", seconds: 0 });
});

test.each([
  [["see"], "viewer"],
  [["see", "command"], "operator"],
  [["administer", "command", "manage", "see", "send"], "admin"],
])("the role with %j is %s", (rights, role) => {
  expect(roleOf(parseIdentity({ ...ME, rights }))).toBe(role);
});

test("a token is renewed before the bridge warns, at different times per tab, and never in a tight loop", () => {
  const hour = 3_600_000;
  expect(renewalDelay(hour, 0)).toBe(0.75 * hour);
  expect(renewalDelay(hour, 1)).toBeLessThan(renewalDelay(hour, 0));
  expect(hour - renewalDelay(hour, 0)).toBeGreaterThan(60_000);
  expect(renewalDelay(10, 0.5)).toBeGreaterThanOrEqual(1000);
  expect(renewalDelay(-10, 0.5)).toBeGreaterThanOrEqual(1000);
});

test.each([
  ["revoked", "invalid", false, "revoked"],
  ["revoked", "replayed", false, "replayed"],
  ["missing", "replayed", true, "replayed"],
  ["expired", "missing", false, "expired"],
  ["missing", "missing", true, "expired"],
  ["missing", "expired", false, "expired"],
  ["missing", "invalid", false, "expired"],
  ["missing", "missing", false, "logout"],
] as const)("access token %s, refresh token %s, expired %s: %s", (access, refresh, hasExpired, reason) => {
  expect(sessionEndReason(access, refresh, hasExpired)).toBe(reason);
});

test.each([
  ["#setup=AbC_-9&user=J%C3%B6rg%20%2B1", { token: "AbC_-9", userName: "Jörg +1" }],
  ["#setup=AbC_-9", { token: "AbC_-9", userName: "" }],
  ["#setup=&user=admin", null],
  ["#setup=a b", null],
  ["#/health", null],
  ["", null],
])("the setup link in %j is %j", (hash, link) => {
  expect(setupLinkIn(hash)).toEqual(link);
});
