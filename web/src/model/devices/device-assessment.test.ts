import { describe, expect, test } from "vitest";

import { HourlyMeanCache } from "../history/hourly-mean-cache";
import { NOON, device, hourlyBucket, reading } from "../testing";
import { AssessmentCache, assessDevice, severityOfOrder } from "./device-assessment";

const HOUR = 3_600_000;
const assessable = (values: Record<string, number | boolean>, over = {}) => device("kitchen", { lastReading: reading(1, values, over) });

describe("the assessment of a device", () => {
  test("has every assessment and the worst one", () => {
    const assessment = assessDevice(assessable({ co2: 2500, tvoc: 30 }), {}, NOON);
    expect(assessment.worst?.levelKey).toBe("level.co2.unacceptable");
    expect(assessment.assessments.map(({ key }) => key)).toEqual(["index.co2", "index.tvoc"]);
    expect(severityOfOrder(assessment.order)).toBe("warning");
  });

  test("ranks a flame first, but leaves it out of `worst`, because the flame has its own alarm", () => {
    const assessment = assessDevice(assessable({ flameDetected: true, co2: 600 }), {}, NOON);
    expect([assessment.order, assessment.worst?.key]).toEqual([7, "index.co2"]);
  });

  test("leaves gas and carbon monoxide out of `worst` below their alarm thresholds", () => {
    expect(assessDevice(assessable({ coPpm: 1, ch4Ppm: 2 }), {}, NOON).worst).toBeNull();
    const assessment = assessDevice(assessable({ coPpm: 180, ch4Ppm: 2 }), {}, NOON);
    expect([assessment.worst?.levelKey, severityOfOrder(assessment.order)]).toEqual(["level.co.100", "alarm"]);
  });

  test("ignores old and retained values", () => {
    expect(assessDevice(assessable({ co2: 2500 }), {}, NOON + HOUR).assessments).toEqual([]);
    expect(assessDevice(assessable({ co2: 2500 }, { retained: true }), {}, NOON).assessments).toEqual([]);
    const infrequent = device("kitchen", { interval: 3600, lastReading: reading(1, { co2: 2500 }) });
    expect(assessDevice(infrequent, {}, NOON + 2 * HOUR).assessments).toHaveLength(1);
  });

  test("uses a flagged value only when it is bad", () => {
    const flagged = (co2: number) => assessable({ co2 }, { quality: new Map([["co2", "outside 300..10000"]]) });
    expect(assessDevice(flagged(120), {}, NOON).assessments).toEqual([]);
    expect(assessDevice(flagged(12_000), {}, NOON).order).toBe(3);
  });

  test("rates the device's own index by the scale it names", () => {
    expect(assessDevice(assessable({ aqi: 4 }), {}, NOON).assessments).toEqual([]);
    expect(assessDevice(assessable({ aqi: 4 }, { aqiScale: "uba" }), {}, NOON).worst?.levelKey).toBe("level.uba.4");
  });
});

test("an index appears once enough hourly means are loaded", () => {
  const cache = new HourlyMeanCache();
  const assessments = new AssessmentCache(cache);
  const one = assessable({ pm25: 40 });
  expect(assessments.of(one, NOON).assessments.map(({ complete }) => complete)).toEqual([false, false]);
  cache.load(["kitchen"], [1, 2, 3].map((ago) => hourlyBucket(NOON - ago * HOUR, 40)), NOON);
  expect(assessments.of(one, NOON).worst?.key).toBe("index.aqi.pm25.now");
});
