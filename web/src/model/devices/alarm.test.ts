import { describe, expect, test } from "vitest";

import { NOON, device, judged, reading, reportOn } from "../testing";
import { alarmOf, byUrgency } from "./alarm";
import { AssessmentReports } from "./device-assessment";

const CO = judged("index.co.now", 5, { field: "coPpm", value: 210, order: 6 });
const FLAME = judged("index.flame", 5, { field: "flameDetected", value: true, order: 7 });
const burning = device("kitchen", { lastReading: reading(1, { flameDetected: true }) });

const alarm = (one = device("kitchen"), ...assessments: unknown[]) => {
  const reports = new AssessmentReports();
  reports.put(reportOn(one.id, NOON, ...assessments));
  return alarmOf(one, reports.of(one, NOON), (key) => reports.alarmingSince(one.id, key));
};

describe("the alarm of a device", () => {
  test("is its worst assessment, and since when", () => {
    expect(alarm(device("kitchen"), CO, judged("index.co2", 3))).toMatchObject({ assessment: { key: "index.co.now", value: 210 }, since: { at: NOON, isExact: false } });
  });

  test("is the flame before anything else", () => {
    expect(alarm(burning, FLAME, CO).assessment?.key).toBe("index.flame");
  });

  test("is a flame that no reading has ended, although the bridge does not judge it any more", () => {
    expect(alarm(burning, CO)).toMatchObject({ assessment: null, since: { at: NOON + 1, isExact: false } });
  });

  test("is nothing without one", () => {
    expect(alarm(device("kitchen"), judged("index.co2", 3))).toMatchObject({ assessment: null, since: null });
  });
});

test("alarms are listed by urgency, flames that nobody judges first", () => {
  const all = [alarm(device("a"), judged("index.aqi.co", 5)), alarm(burning), alarm(device("b"), CO), alarm(device("c"), FLAME)];
  expect(all.sort(byUrgency).map(({ device: { id } }) => id)).toEqual(["kitchen", "c", "b", "a"]);
});
