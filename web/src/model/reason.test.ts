import { expect, test } from "vitest";

import { causeIn } from "./reason";

test("a cause is taken with its parameters, also those that are reasons", () => {
  const inner = { text: "a list", key: "type.list", parameters: {} };
  const { cause } = causeIn({ reason: "…", cause: { key: "payload.some", parameters: { count: "3", reason: { text: "not …", key: "payload.notObject", parameters: { type: inner } } } } });
  expect(cause?.key).toBe("payload.some");
  expect(cause?.parameters.get("count")).toBe("3");
  const nested = { text: "not …", cause: { key: "payload.notObject", parameters: new Map([["type", { text: "a list", cause: { key: "type.list", parameters: new Map() } }]]) } };
  expect(cause?.parameters.get("reason")).toEqual(nested);
});

test.each([null, 7, "text", [], { cause: null }, { cause: "x" }, { cause: {} }, { cause: { key: 7 } }])("anything else is no cause: %j", (body) => {
  expect(causeIn(body)).toEqual({});
});

test("hostile causes are cut", () => {
  let deep: Record<string, unknown> = { text: "x" };
  for (let n = 0; n < 50; n++) deep = { text: "x", key: "k", parameters: { reason: deep } };
  expect(JSON.stringify([...(causeIn({ cause: deep }).cause?.parameters.values() ?? [])]).length).toBeLessThan(1000);
  expect(causeIn({ cause: { key: "k", parameters: Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`p${n}`, "x"])) } }).cause?.parameters.size).toBe(8);
  expect(causeIn({ cause: { key: "k", parameters: { p: 7 } } }).cause?.parameters.get("p")).toEqual({ text: "" });
});
