import { describe, expect, test } from "vitest";

import type { ViewParam } from "./view-param";
import { choiceParam, flagParam, formatFragment, listParam, numberParam, pageOf, parseFragment, readParam, textOf, textParam, valueIn, writeParam } from "./view-param";

const SORT = choiceParam("sort", ["worst", "name", "co2"], "worst");
const COMPARE = listParam("compare", 3);
const COUNT = numberParam("count", 8, 1, 20);
const SEARCH = textParam("q", { maxLength: 10 });
const GROUPED = flagParam("grouped");

function roundTrip<T>(param: ViewParam<T>, value: T): T {
  const query = writeParam(null, param.name, textOf(param, value));
  const { hash } = new URL(formatFragment({ path: "#/", query }), "http://bridge.example/");
  return valueIn(param, parseFragment(hash).query);
}

describe("a parameter", () => {
  test.each([
    [SORT, "co2"],
    [SORT, "worst"],
    [COUNT, 20],
    [COUNT, 8],
    [GROUPED, true],
    [GROUPED, false],
    [SEARCH, "кухня 2"],
    [SEARCH, "a+b&c=d%?#"],
    [COMPARE, ["a", "b"]],
    [COMPARE, []],
    [COMPARE, ["a,b", "100%", "%2C"]],
  ] as [ViewParam<unknown>, unknown][])("survives the address (%#)", (param, value) => {
    expect(roundTrip(param, value)).toEqual(value);
  });

  test.each([
    [SORT, "sort=constructor", "worst"],
    [COUNT, "count=0", 8],
    [COUNT, "count=NaN", 8],
    [COUNT, "count=", 8],
    [COUNT, "count=1e9", 8],
    [GROUPED, "grouped=yes", false],
    [SEARCH, "q=0123456789abc", "0123456789"],
    [COMPARE, "compare=a,a,,b,c,d", ["a", "b", "c"]],
    [COMPARE, "compare=%", ["%"]],
    [COMPARE, `compare=${"x".repeat(201)},b`, ["b"]],
  ] as [ViewParam<unknown>, string, unknown][])("keeps its bounds (%#)", (param, query, value) => {
    expect(valueIn(param, query)).toEqual(value);
  });

  test("is omitted when it has its fallback", () => {
    expect(textOf(SORT, "worst")).toBeNull();
    expect(textOf(COMPARE, [])).toBeNull();
    expect(writeParam("sort=co2", "sort", null)).toBeNull();
  });

  test("leaves the others, and stays readable", () => {
    expect(writeParam("sort=co2&wall", "compare", textOf(COMPARE, ["floor1/air", "a:b"]))).toBe("sort=co2&wall&compare=floor1/air,a:b");
    expect(writeParam("sort=co2", "q", "living room")).toBe("sort=co2&q=living+room");
    expect(readParam("q=a+b", "q")).toBe("a b");
  });
});

describe("a fragment", () => {
  test.each(["", "#/", "#/device/x", "#/?", "#/device/x?range=24h", "#/feed?device=a?b"])("%s survives parsing", (hash) => {
    expect(formatFragment(parseFragment(hash))).toBe(hash);
  });

  test("that is too long has no query", () => {
    expect(parseFragment(`#/?q=${"x".repeat(5000)}`)).toEqual({ path: "#/", query: null });
  });

  test.each([["", "overview"], ["#/", "overview"], ["#/device/a%2Fb", "device"], ["#/alarms/history", "alarms"]])("%s belongs to the page %s", (path, page) => {
    expect(pageOf(path)).toBe(page);
  });
});
