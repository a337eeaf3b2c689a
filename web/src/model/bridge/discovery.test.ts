import { describe, expect, test } from "vitest";

import { parseDiscovery, parseSubscriptions } from "./discovery";

const FINDING = {
  state: "new", pattern: "tele/{deviceId}/SENSOR", format: "tasmota", family: "tasmota", reason: "", topics: ["tele/a/SENSOR"],
  topicCount: 1, messages: 4, devices: [{ id: "a", values: { temperature: 21.5, flameDetected: false } }], deviceCount: 1,
  units: { temperature: "°C" }, notTaken: { rpm: "unknown key" }, alsoMatches: 2,
};

describe("a survey", () => {
  test("is read with its findings", () => {
    const { state, messages, findings } = parseDiscovery({ state: "listening", messages: 4, findings: [FINDING] });
    expect([state, messages]).toEqual(["listening", 4]);
    expect(findings[0]).toMatchObject({ state: "new", pattern: "tele/{deviceId}/SENSOR", alsoMatches: 2, notTaken: [["rpm", { text: "unknown key" }]] });
    expect(findings[0]?.devices).toEqual([{ id: "a", values: [["temperature", 21.5], ["flameDetected", false]] }]);
  });

  test.each([null, 3, {}, { findings: [null, 3, { devices: [{ values: { a: {} } }], units: 3 }] }])("of any JSON is read: %j", (body) => {
    expect(parseDiscovery(body).state).toBe("idle");
  });
});

test("subscriptions of the file have no id", () => {
  const found = parseSubscriptions({ subscriptions: [{ id: null, pattern: "a" }, { id: "0f", pattern: "b", refused: "no" }, 3] });
  expect(found.map((one) => [one.id, one.pattern, one.refused])).toEqual([[null, "a", ""], ["0f", "b", "no"], [null, "", ""]]);
});
