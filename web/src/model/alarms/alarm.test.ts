import { describe, expect, test } from "vitest";

import { NOON, alarm, alarmRecord } from "../testing";
import { byUrgency, countByPriority, isActive, isCalling, isInBanner, isUnacknowledged, parseAlarm, parseAlarmPage } from "./alarm";

describe("an alarm from the bridge", () => {
  test("is taken as it was sent", () => {
    expect(parseAlarm(alarmRecord("1"))).toMatchObject({
      id: "1", rule: "co-ceiling", deviceId: "kitchen", priority: "critical", state: "unacknowledged", value: 212, unit: "ppm", limit: 200,
      peak: { value: 230, at: NOON }, raisedAt: NOON, clearedAt: null, first: true, past: null,
    });
  });

  test("of the bridge itself has no device", () => {
    expect(parseAlarm(alarmRecord("1", { deviceId: null, field: null, value: null, peak: null }))).toMatchObject({ deviceId: null, value: null, peak: null });
  });

  test.each([[null], [7], ["alarm"], [{}], [{ id: "1" }], [alarmRecord("1", { state: "dancing" })], [alarmRecord("", {})]])("%j is none", (body) => {
    expect(parseAlarm(body)).toBeNull();
  });

  test("of the wrong types reads as missing values", () => {
    const wrong = { value: "212", limit: "200", peak: 7, past: { from: "soon" }, raisedAt: 7, message: null, first: "yes", outOfService: 1, comment: 7 };
    expect(parseAlarm(alarmRecord("1", wrong))).toMatchObject({ value: null, limit: null, peak: null, past: null, raisedAt: null, message: "", first: false, outOfService: false, comment: null });
  });

  test("of an unknown priority is a high one, so that it is seen", () => {
    expect(parseAlarm(alarmRecord("1", { priority: "apocalyptic" }))?.priority).toBe("high");
  });

  test("comes in pages, and says when others may be missing", () => {
    expect(parseAlarmPage({ alarms: [alarmRecord("1"), null, {}], next: "c1", catchingUp: true })).toMatchObject({ alarms: [{ id: "1" }], next: "c1", isCatchingUp: true });
    expect(parseAlarmPage(null)).toEqual({ alarms: [], next: null, isCatchingUp: false });
  });
});

describe("the state", () => {
  test.each([
    // state, active, unacknowledged, in the banner, calling
    ["unacknowledged", true, true, true, true],
    ["acknowledged", true, false, true, false],
    ["returned", false, true, true, false],
    ["latched", false, false, false, false],
    ["normal", false, false, false, false],
  ])("%s decides whether it is active, unacknowledged, in the banner, and calls", (state, ...expected) => {
    const one = alarm("1", { state });
    expect([isActive(one), isUnacknowledged(one), isInBanner(one), isCalling(one)]).toEqual(expected);
  });

  test.each([[{ shelvedUntil: "2026-01-15T13:00:00.000Z" }], [{ outOfService: true }], [{ suppressedBy: "co-dose" }], [{ priority: "medium" }]])(
    "does not interrupt anybody with %j",
    (over) => {
      const one = alarm("1", over);
      expect([isInBanner(one), isCalling(one)]).toEqual([false, false]);
    },
  );
});

test("alarms are ordered by priority, then the unacknowledged, then the newest", () => {
  const at = (minutes: number) => new Date(NOON + minutes * 60_000).toISOString();
  const all = [
    alarm("low", { priority: "low", raisedAt: at(9) }),
    alarm("old", { raisedAt: at(1) }),
    alarm("seen", { state: "acknowledged", raisedAt: at(8) }),
    alarm("new", { raisedAt: at(2) }),
    alarm("high", { priority: "high", raisedAt: at(3) }),
  ];
  expect(all.sort(byUrgency).map(({ id }) => id)).toEqual(["new", "old", "seen", "high", "low"]);
  expect(countByPriority(all)).toEqual({ critical: 3, high: 1, medium: 0, low: 1 });
});
