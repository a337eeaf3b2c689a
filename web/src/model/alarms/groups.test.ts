import { expect, test } from "vitest";

import { NOON, alarm } from "../testing";
import { countUnacknowledged, sectionsOf } from "./groups";

const at = (minutes: number) => new Date(NOON + minutes * 60_000).toISOString();
const listed = (alarms: Parameters<typeof sectionsOf>[0]) =>
  sectionsOf(alarms).map(({ priority, count, groups }) => [priority, count, groups.map((group) => group.alarms.map(({ id }) => id))]);

test("sections are by priority, newest first", () => {
  const alarms = [
    alarm("a", { priority: "low", rule: "battery", raisedAt: at(3) }),
    alarm("b", { raisedAt: at(1) }),
    alarm("c", { raisedAt: at(2), site: "Office" }),
  ];
  expect(listed(alarms)).toEqual([["critical", 2, [["c"], ["b"]]], ["low", 1, [["a"]]]]);
  expect(sectionsOf([])).toEqual([]);
});

test("three or more alarms of one rule at one site are one entry, the first of them in front", () => {
  const flood = Array.from({ length: 60 }, (_, number) =>
    alarm(`n${String(number).padStart(2, "0")}`, { rule: "no-data", priority: "medium", deviceId: `d${number}`, raisedAt: at(number), first: number === 4, state: number === 7 ? "acknowledged" : "unacknowledged" }),
  );
  const elsewhere = alarm("other", { rule: "no-data", priority: "medium", site: "Office", raisedAt: at(30) });
  const [section] = sectionsOf([...flood, elsewhere]);
  expect(section?.groups.map(({ isCollapsed, alarms }) => [isCollapsed, alarms.length])).toEqual([[true, 60], [false, 1]]);
  const [group] = section?.groups ?? [];
  expect(group?.first.id).toBe("n04");
  expect(group?.alarms.slice(0, 3).map(({ id }) => id)).toEqual(["n04", "n59", "n58"]);
  expect(group && countUnacknowledged(group)).toBe(59);
});

test("the first of a group is the oldest that stands, when the first one has ended", () => {
  const [section] = sectionsOf([1, 2, 3].map((minute) => alarm(`${minute}`, { raisedAt: at(minute), first: false })));
  expect(section?.groups[0]?.first.id).toBe("1");
});

test("two alarms of one rule are shown one by one", () => {
  expect(listed([alarm("a", { raisedAt: at(1) }), alarm("b", { raisedAt: at(2) })])).toEqual([["critical", 2, [["b"], ["a"]]]]);
});
