import { describe, expect, test } from "vitest";

import { parseOutcome } from "./command-outcome";

describe("the outcome of a command", () => {
  test.each([
    ["?sent=c1", "#/device/a%3Ab", { kind: "sent", device: "a:b", id: "c1" }],
    ["?refused=offline", "#/device/a", { kind: "refused", reason: "offline" }],
    ["?refused=missing", "", { kind: "refused", reason: "missing" }],
    ["?sent=c1", "", null],
    ["?refused=You%20won", "", null],
    ["?refused=constructor", "", null],
    ["", "#/device/a", null],
  ])("%s%s", (search, hash, outcome) => {
    expect(parseOutcome(search, hash)).toEqual(outcome);
  });
});
