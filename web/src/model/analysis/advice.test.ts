import { expect, test } from "vitest";

import { NOON, advice } from "../testing";
import { Dismissed, FRESH_MS, isFresh, parseAdvicePage, withAdvice } from "./advice";

test("advice without words, device or time is not read", () => {
  const bodies = [{ message: "" }, { deviceId: 3 }, { at: "yesterday" }, {}].map((over) => ({ ...advice("1", { at: new Date(NOON).toISOString() }), at: new Date(NOON).toISOString(), ...over }));
  expect(parseAdvicePage({ actions: [...bodies, null] }).advice).toHaveLength(1);
});

test("the newest advice of a device counts, in whatever order it comes", () => {
  const [old, later] = [advice("1"), advice("2", { at: new Date(NOON + 1).toISOString() })];
  expect(withAdvice(withAdvice(new Map(), [later]), [old]).get("office")?.id).toBe("2");
  expect(withAdvice(withAdvice(new Map(), [old]), [later]).get("office")?.id).toBe("2");
});

test("advice is fresh for two hours", () => {
  expect([isFresh(advice("1"), NOON + FRESH_MS - 1), isFresh(advice("1"), NOON + FRESH_MS)]).toEqual([true, false]);
});

test("what was dismissed is kept, but not without end", () => {
  let dismissed = new Dismissed(null);
  for (let id = 0; id < 150; id++) dismissed = new Dismissed(dismissed.with(String(id)).text);
  expect(dismissed.ids).toHaveLength(100);
  expect([dismissed.ids.includes("149"), dismissed.ids.includes("1")]).toEqual([true, false]);
});
