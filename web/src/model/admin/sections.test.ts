import { signal } from "@preact/signals";
import { expect, it } from "vitest";

import type { Permission } from "../../auth/identity";
import type { AuthState } from "../../auth/session";
import { allowedTabs } from "./sections";

function session(kind: "open" | "loggedIn", rights: readonly Permission[], seesAllDevices = true): Parameters<typeof allowedTabs>[0] {
  const identity = { name: "ann", permissions: new Set(rights), restricted: !seesAllDevices, expires: null, required: true };
  const state = signal<AuthState>(kind === "open" ? { kind } : { kind, identity });
  return { state, seesAllDevices, can: (right) => kind === "open" || rights.includes(right) };
}

it("shows each view to those who may use it", () => {
  expect(allowedTabs(session("loggedIn", ["see", "send", "command", "manage", "administer"]))).toEqual(["people", "keys", "devices", "subscriptions", "retention"]);
  expect(allowedTabs(session("loggedIn", ["see", "manage"]))).toEqual(["devices", "subscriptions", "retention"]);
  expect(allowedTabs(session("loggedIn", ["see", "manage"], false))).toEqual(["devices"]);
  expect(allowedTabs(session("loggedIn", ["see", "command"]))).toEqual([]);
});

it("has no people and keys while access is open", () => {
  expect(allowedTabs(session("open", []))).toEqual(["devices", "subscriptions", "retention"]);
});
