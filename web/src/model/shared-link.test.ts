import { expect, test } from "vitest";

import { MAX_SCOPE_NAMES, parseSharedLinks, scopeFor } from "./shared-link";

const many = Array.from({ length: MAX_SCOPE_NAMES + 1 }, (_, number) => ({ id: `d${number}`, site: number % 2 ? "North" : "South" }));

test("a link names the devices, and their sites when they are too many", () => {
  expect(scopeFor([{ id: "a", site: "" }])).toEqual({ devices: ["a"], sites: [] });
  expect(scopeFor(many)).toEqual({ devices: [], sites: ["South", "North"] });
  expect(scopeFor([...many, { id: "x", site: "" }])).toBeNull();
  expect(scopeFor([])).toBeNull();
});

test("links are parsed, and what is none is left out", () => {
  const link = { id: "1", title: "Hall", view: "#/device/hall", scope: { devices: ["hall"], sites: [] }, createdAt: "2026-11-30T08:00:00Z", expires: "2026-12-07T08:00:00Z", by: "person:admin" };
  const [parsed, ...others] = parseSharedLinks({ links: [link, null, {}] });
  expect(parsed).toEqual({ ...link, scope: undefined, devices: ["hall"], sites: [], createdAt: Date.UTC(2026, 10, 30, 8), expires: Date.UTC(2026, 11, 7, 8) });
  expect(others).toEqual([]);
  expect(parseSharedLinks({ links: [{ ...link, view: "javascript:alert(1)" }] })[0]?.view).toBe("#/");
});
