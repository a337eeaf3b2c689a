import { describe, expect, test } from "vitest";

import { hrefOf, parseRoute } from "./route";

describe("a route", () => {
  test.each([
    ["", { page: "overview" }],
    ["#/", { page: "overview" }],
    ["#/device/a%3Ab", { page: "device", id: "a:b" }],
    ["#/feed?device=kitchen", { page: "feed", device: "kitchen" }],
    ["#/health", { page: "health" }],
    ["#/device/%E0%A4%A", { page: "notFound" }],
    ["#/device/a/b", { page: "notFound" }],
    ["#/constructor", { page: "notFound" }],
  ])("%s", (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
  });

  test("survives formatting and parsing", () => {
    const id = "greenhouse.north:row-12";
    expect(parseRoute(hrefOf({ page: "device", id }))).toEqual({ page: "device", id });
    expect(parseRoute(hrefOf({ page: "feed", device: id }))).toEqual({ page: "feed", device: id });
  });
});
