import { describe, expect, test } from "vitest";

import { NOON, device, judged, reading, reportOn } from "../testing";
import type { Device } from "./device";
import { AssessmentReports, severityOfOrder } from "./device-assessment";
import { MAX_DEVICES } from "./fleet";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const CO2_BAD = judged("index.co2", 3);
const TVOC_GOOD = judged("index.tvoc", 0, { field: "tvoc" });
const FLAME = judged("index.flame", 5, { field: "flameDetected", value: true, order: 7 });
const CO_BAD = judged("index.co.now", 5, { field: "coPpm", value: 180 });

const kitchen = (over = {}) => device("kitchen", over);
const reported = (...assessments: unknown[]) => {
  const reports = new AssessmentReports();
  reports.put(reportOn("kitchen", NOON, ...assessments));
  return reports;
};

describe("the assessment of a device", () => {
  test("has every assessment and the worst one", () => {
    const assessed = reported(CO2_BAD, TVOC_GOOD).of(kitchen(), NOON);
    expect(assessed.worst?.key).toBe("index.co2");
    expect(assessed.assessments.map(({ key }) => key)).toEqual(["index.co2", "index.tvoc"]);
    expect(severityOfOrder(assessed.order)).toBe("warning");
  });

  test("is empty for a device that the bridge has not judged", () => {
    expect(new AssessmentReports().of(kitchen(), NOON)).toMatchObject({ assessments: [], at: null, isCurrent: false, order: -1 });
  });

  test("ranks a flame first, but leaves it out of `worst`, because the flame has its own alarm", () => {
    const assessed = reported(FLAME, judged("index.co2", 0)).of(kitchen(), NOON);
    expect([assessed.order, assessed.worst?.key]).toEqual([7, "index.co2"]);
  });

  test("leaves gas and carbon monoxide out of `worst` while they are harmless", () => {
    const harmless = ["index.co.now", "index.co.dose", "index.lel.ch4"].map((key) => judged(key, 0));
    expect(reported(...harmless).of(kitchen(), NOON).worst).toBeNull();
    expect(reported(CO_BAD, ...harmless).of(kitchen(), NOON).worst?.key).toBe("index.co.now");
  });

  test("does not count pending ones", () => {
    const pending = { ...judged("index.aqi.co", 0), level: null, value: null, hoursNeeded: 3 };
    expect(reported(pending).of(kitchen(), NOON)).toMatchObject({ order: -1, worst: null, isCurrent: true });
  });

  test("is replaced by a newer report and never by an older one", () => {
    const reports = reported(CO2_BAD);
    reports.put(reportOn("kitchen", NOON - 1, TVOC_GOOD));
    expect(reports.of(kitchen(), NOON).order).toBe(3);
    reports.put(reportOn("kitchen", NOON + 1, TVOC_GOOD));
    expect(reports.of(kitchen(), NOON).order).toBe(0);
    expect([...reports.takeChangedIds()]).toEqual(["kitchen"]);
    expect([...reports.takeChangedIds()]).toEqual([]);
  });
});

describe("an assessment of a device that was not heard of for long", () => {
  const at = (one: Device, ago: number) => reported(CO_BAD).of(one, NOON + ago);

  test("is kept, but neither current nor an alarm", () => {
    expect(at(kitchen(), 10 * MINUTE)).toMatchObject({ isCurrent: true, order: 5 });
    const old = at(kitchen(), 10 * MINUTE + 1);
    expect(old).toMatchObject({ isCurrent: false, order: -1, worst: null, at: NOON });
    expect(old.assessments).toHaveLength(1);
  });

  test("is current for longer if the device is slow, or has been heard of since", () => {
    expect(at(kitchen({ interval: 3600 }), 2 * HOUR).isCurrent).toBe(true);
    const heard = kitchen({ lastReading: reading(1, { coPpm: 1 }, { measuredAt: NOON + HOUR }) });
    expect(at(heard, HOUR + MINUTE).isCurrent).toBe(true);
  });

  test("belongs to readings that are not fresh", () => {
    const one = kitchen({ lastReading: reading(1, { co2: 600 }) });
    expect([NOON, NOON + HOUR].map((now) => one.isFresh(now))).toEqual([true, false]);
    expect(kitchen().isFresh(NOON)).toBe(false);
  });
});

test("reports are bounded, and forgotten with their device", () => {
  const reports = new AssessmentReports();
  for (let number = 0; number < MAX_DEVICES + 10; number++) reports.put(reportOn(`d${number}`, NOON, CO2_BAD));
  expect(reports.takeChangedIds().size).toBe(MAX_DEVICES);
  reports.retainOnly(new Map([["d1", device("d1")]]));
  expect(reports.of(device("d2"), NOON).at).toBeNull();
  reports.delete("d1");
  expect(reports.of(device("d1"), NOON).at).toBeNull();
});
