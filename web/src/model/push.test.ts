import { describe, expect, test } from "vitest";

import type { PushFacts } from "./push";
import { isSameKey, keyBytes, parsePushStatus, pushState } from "./push";

const FACTS: PushFacts = {
  isSecure: true,
  isSupported: true,
  permission: "granted",
  readiness: "ready",
  isSubscribed: true,
  isOwn: true,
};

describe("the state of notifications", () => {
  test.each([
    ["on", {}],
    ["off", { isSubscribed: false }],
    ["off", { isSubscribed: false, permission: "default" }],
    ["other-user", { isOwn: false }],
    ["blocked", { permission: "denied", isSubscribed: false }],
    ["no-target", { readiness: "no-target" }],
    ["not-installed", { readiness: "not-installed" }],
    ["no-user", { readiness: "no-user", permission: "denied" }],
    ["unknown", { readiness: null }],
    ["unknown", { isSubscribed: null }],
    ["unsupported", { isSupported: false, readiness: null }],
    ["insecure", { isSecure: false, isSupported: false }],
  ] as const)("is %s with %j", (state, facts) => {
    expect(pushState({ ...FACTS, ...facts })).toBe(state);
  });
});

test("the bridge's answer is parsed; a state that is not known does not forbid to try", () => {
  expect(parsePushStatus({ publicKey: "BAE", state: "no-target" })).toEqual({ publicKey: "BAE", readiness: "no-target" });
  expect(parsePushStatus({ publicKey: 1, state: "later" })).toEqual({ publicKey: "", readiness: "ready" });
});

test("keys are base64url", () => {
  expect([...keyBytes("-_8A")]).toEqual([251, 255, 0]);
  expect([...keyBytes("no key!")]).toEqual([]);
});

test("keys are the same if their bytes are", () => {
  const key = keyBytes("-_8A");
  expect(isSameKey(key.slice().buffer, key)).toBe(true);
  for (const other of ["-_8B", "-_8", ""]) expect(isSameKey(keyBytes(other).buffer, key)).toBe(false);
  expect(isSameKey(null, key)).toBe(false);
});
