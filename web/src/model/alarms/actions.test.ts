import { describe, expect, test } from "vitest";

import { alarm } from "../testing";
import { ALARM_ACTIONS, allows, chunks, parseRefused, shelveTimes } from "./actions";

const SHELVED = { shelvedUntil: "2026-01-15T13:00:00.000Z" };

describe("what is offered", () => {
  test.each([
    [{ state: "unacknowledged" }, ["acknowledge", "shelve", "out-of-service"]],
    [{ state: "acknowledged" }, ["shelve", "out-of-service"]],
    [{ state: "returned" }, ["acknowledge", "shelve", "out-of-service"]],
    [{ state: "latched" }, ["reset", "shelve", "out-of-service"]],
    [{ state: "normal", ...SHELVED }, ["unshelve", "out-of-service"]],
    [{ state: "unacknowledged", outOfService: true }, ["acknowledge", "shelve", "in-service"]],
  ])("for %j is what the bridge would accept", (over, expected) => {
    expect(ALARM_ACTIONS.filter((action) => allows(alarm("1", over), action))).toEqual(expected);
  });

  test("is to shelve a critical alarm for 8 hours at most, alone or among others", () => {
    expect(shelveTimes([alarm("1", { priority: "high" })])).toEqual(["1h", "8h", "1d", "7d"]);
    expect(shelveTimes([alarm("1"), alarm("2", { priority: "low" })])).toEqual(["1h", "8h"]);
  });
});

test("refusals keep the bridge's reason", () => {
  expect(parseRefused({ acknowledged: ["1"], refused: [{ id: "2", reason: "only an unacknowledged one" }, { reason: "?" }, null] })).toEqual([{ id: "2", reason: "only an unacknowledged one" }]);
  expect(parseRefused(null)).toEqual([]);
});

test("many are sent in parts", () => {
  expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(chunks([], 2)).toEqual([]);
});
