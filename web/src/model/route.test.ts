import { describe, expect, test } from "vitest";

import { ALARM_TABS, hrefOf, parseRoute } from "./route";
import { parseFragment, readParam } from "./view-param";

describe("a route", () => {
  test.each([
    ["", { page: "overview" }],
    ["#/", { page: "overview" }],
    ["#setup=AbC_-9&user=admin", { page: "overview" }],
    ["#/device/a%3Ab", { page: "device", id: "a:b" }],
    ["#/feed?device=kitchen", { page: "feed" }],
    ["#/device/a?range=24h", { page: "device", id: "a" }],
    ["#/health", { page: "health" }],
    ["#/alarms", { page: "alarms", tab: "standing" }],
    ["#/alarms/history", { page: "alarms", tab: "history" }],
    ["#/alarms/constructor", { page: "notFound" }],
    ["#/alarms/history/more", { page: "notFound" }],
    ["#/discovery", { page: "discovery" }],
    ["#/admin", { page: "admin", tab: null }],
    ["#/admin/keys", { page: "admin", tab: "keys" }],
    ["#/device/%E0%A4%A", { page: "notFound" }],
    ["#/device/a/b", { page: "notFound" }],
    ["#/constructor", { page: "notFound" }],
  ])("%s", (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
  });

  test("survives formatting and parsing", () => {
    const id = "greenhouse.north:row-12";
    expect(parseRoute(hrefOf({ page: "device", id }))).toEqual({ page: "device", id });
    for (const tab of ALARM_TABS) expect(parseRoute(hrefOf({ page: "alarms", tab }))).toEqual({ page: "alarms", tab });
  });

  test.each([
    "floor1/kitchen/air",
    "Living Room",
    "кухня",
    "غرفة المعيشة",
    "🌡 attic",
    "a,b",
    "a;b|c&d=e?f",
    "%41",
    "%2F",
    "100%",
    "*",
    "$SYS",
    'say "hi"',
    "it's",
    "back\\slash",
    "<b>",
    "__proto__",
  ])("of the device %s survives, as in an address that a browser normalizes", (id) => {
    const route = { page: "device", id } as const;
    const href = hrefOf(route, { device: id });
    for (const hash of [href, new URL(href, "http://bridge.example/").hash]) {
      expect(parseRoute(hash)).toEqual(route);
      expect(readParam(parseFragment(hash).query, "device")).toBe(id);
    }
  });
});
