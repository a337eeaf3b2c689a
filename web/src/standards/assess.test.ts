import { describe, expect, test } from "vitest";

import { type AssessmentInput, assess, worst } from "./assess";
import type { Assessment, Level } from "./assessment";
import type { HourlyMean } from "./averaging";

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 0, 15, 12, 20);

/** `length` hours of one value, the newest just ended. */
function hours(mean: number, length = 24): HourlyMean[] {
  const noon = Math.floor(NOW / HOUR_MS) * HOUR_MS;
  return Array.from({ length }, (_, age) => ({ startMs: noon - (age + 1) * HOUR_MS, mean, count: 60 }));
}

function assessed(values: AssessmentInput["values"], of: AssessmentInput["hours"] = {}): Assessment[] {
  return assess({ nowMs: NOW, values, hours: of });
}

const only = (values: AssessmentInput["values"]): Assessment | undefined => assessed(values)[0];
const keys = (assessments: readonly Assessment[]): string[] => assessments.map(({ key }) => key);

describe("assess", () => {
  test("covers only fields that a standard covers", () => {
    expect(assessed({ temperature: 21, humidity: 40, pressure: 1013, pm1: 3, no2: 20, flameIntensity: 300 })).toEqual([]);
    expect(assessed({})).toEqual([]);
  });

  test("ignores invalid values", () => {
    for (const value of [Number.NaN, Infinity, -1, "900", null, true, undefined]) {
      expect(assessed({ co2: value, eco2: value, tvoc: value, ch4Ppm: value, lpgPpm: value, pm25: value, coPpm: value })).toEqual([]);
    }
    expect(assessed({ flameDetected: 1 })).toEqual([]);
  });

  test("accepts zero", () => {
    expect(assessed({ co2: 0, tvoc: 0, ch4Ppm: 0, lpgPpm: 0, flameDetected: false }).map(({ level }) => level)).toEqual([0, 0, 0, 0, 0]);
  });

  test("returns each index once", () => {
    const values = {
      pm25: 5, pm10: 9, coPpm: 1, co2: 600, eco2: 600, tvoc: 90, ch4Ppm: 1, lpgPpm: 1, flameDetected: false, aqi: 2, aqiScale: "uba",
    };
    expect(new Set(keys(assessed(values))).size).toBe(13);
    expect(assessed(values)).toHaveLength(13);
  });
});

describe("particles", () => {
  test("have a NowCast and a daily index, each with its standard", () => {
    expect(assessed({ pm25: 17 }, { pm25: hours(17.49) })).toMatchObject([
      { key: "index.aqi.pm25.now", standard: "standard.epaNowCast", averaging: "averaging.nowCast", value: 66, measured: 17.4 },
      { key: "index.aqi.pm25.day", standard: "standard.epaAqi", averaging: "averaging.mean24h", value: 66, indicative: false },
    ]);
  });

  test("of three hours have a NowCast, and need 15 more hours for the daily index", () => {
    const [now, day] = assessed({ pm10: 60 }, { pm10: hours(55, 3) });
    expect(now).toMatchObject({ complete: true, value: 51, level: 1, levelKey: "level.epa.moderate", advice: "advice.air.moderate" });
    expect(day).toMatchObject({ complete: false, value: null, level: null, levelKey: "level.pending", hoursNeeded: 15 });
  });

  test("measured for the first time report how many hours are needed", () => {
    expect(assessed({ pm25: 400 })).toMatchObject([{ hoursNeeded: 2 }, { hoursNeeded: 18 }]);
  });

  test("missing in the newest reading are assessed by their hourly means", () => {
    expect(keys(assessed({}, { pm25: hours(5) }))).toEqual(["index.aqi.pm25.now", "index.aqi.pm25.day"]);
  });

  test.each([
    [9.0, "level.epa.good"], [9.1, "level.epa.moderate"], [35.49, "level.epa.moderate"], [35.5, "level.epa.sensitive"],
    [55.5, "level.epa.unhealthy"], [125.5, "level.epa.veryUnhealthy"], [225.5, "level.epa.hazardous"],
  ])("of %f µg/m³ are %s", (mean, levelKey) => {
    expect(assessed({}, { pm25: hours(mean) }).map((one) => one.levelKey)).toEqual([levelKey, levelKey]);
  });
});

describe("carbon monoxide", () => {
  test.each([
    [0, 0, 0, "level.co.below"], [29.9, 0, 0, "level.co.below"], [30, 2, 2, "level.co.30"], [50, 3, 3, "level.co.50"],
    [99, 3, 3, "level.co.50"], [100, 5, 5, "level.co.100"], [180, 5, 5, "level.co.100"], [300, 5, 6, "level.co.300"],
  ])("of %f ppm is of level %i, regardless of earlier hours", (ppm, level, order, levelKey) => {
    const now = assessed({ coPpm: ppm }, { coPpm: hours(1) }).find(({ key }) => key === "index.co.now");
    expect(now).toMatchObject({ standard: "standard.enCo", value: ppm, unit: "unit.ppm", level, order, levelKey });
  });

  test("is an eight-hour mean, and indicative", () => {
    expect(assessed({}, { coPpm: hours(8.4, 6) })).toMatchObject([
      { key: "index.aqi.co", value: 90, measured: 8.4, averaging: "averaging.mean8h", indicative: true, advice: "advice.co.source" },
    ]);
    expect(assessed({ coPpm: 8.4 }, { coPpm: hours(8.4, 5) })).toMatchObject([
      { key: "index.co.now" },
      { complete: false, hoursNeeded: 1, indicative: true },
    ]);
  });
});

describe("carbon dioxide", () => {
  test.each<[number, Level, string]>([
    [999.9, 0, "level.co2.harmless"], [1000, 2, "level.co2.conspicuous"],
    [2000, 2, "level.co2.conspicuous"], [2000.1, 3, "level.co2.unacceptable"],
  ])("of %f ppm is of level %i", (co2, level, levelKey) => {
    expect(only({ co2 })).toMatchObject({ standard: "standard.ubaCo2", unit: "unit.ppm", value: co2, level, levelKey, indicative: false });
  });

  test("estimated by a sensor is marked as an estimate", () => {
    expect(only({ eco2: 1500 })).toMatchObject({ key: "index.eco2", level: 2, indicative: true, note: "note.eco2" });
  });
});

describe("organic compounds", () => {
  test.each([[0, 1], [65, 1], [65.1, 2], [220, 2], [221, 3], [660, 3], [661, 4], [2200, 4], [2201, 5], [5500, 5], [60_000, 5]])(
    "of %f ppb are of UBA level %i",
    (tvoc, level) => {
      expect(only({ tvoc })).toMatchObject({ value: level, levelKey: `level.uba.${level}`, level: level - 1, note: "note.tvoc" });
    },
  );
});

describe("a device's own index", () => {
  test("is rated by the scale it names", () => {
    expect(only({ aqi: 4, aqiScale: "uba" })).toMatchObject({ key: "index.device.uba", value: 4, levelKey: "level.uba.4", level: 3 });
    expect(only({ aqi: 151, aqiScale: "epa" })).toMatchObject({
      key: "index.device.epa", value: 151, levelKey: "level.epa.unhealthy", level: 3, averaging: "averaging.device", indicative: true,
    });
  });

  test("is ignored without a scale, on an unknown scale, or out of range", () => {
    expect(assessed({ aqi: 4 })).toEqual([]);
    expect(assessed({ aqi: 4, aqiScale: "daqi" })).toEqual([]);
    for (const aqi of [0, 6, 2.5]) expect(assessed({ aqi, aqiScale: "uba" })).toEqual([]);
  });
});

describe("gas", () => {
  test.each([
    ["ch4Ppm", 4399, 0, "level.lel.below"], ["ch4Ppm", 4400, 3, "level.lel.first"], ["ch4Ppm", 8799, 3, "level.lel.first"],
    ["ch4Ppm", 8800, 5, "level.lel.second"], ["ch4Ppm", 44_000, 5, "level.lel.explosive"],
    ["lpgPpm", 1399, 0, "level.lel.below"], ["lpgPpm", 1400, 3, "level.lel.first"],
    ["lpgPpm", 2800, 5, "level.lel.second"], ["lpgPpm", 14_000, 5, "level.lel.explosive"],
  ])("%s of %i ppm is of level %i", (field, ppm, level, levelKey) => {
    expect(only({ [field]: ppm })).toMatchObject({ field, measured: ppm, level, levelKey, unit: "unit.lel", indicative: true });
  });

  test("is a percentage of the lower explosive limit of IEC 60079-20-1", () => {
    expect(only({ ch4Ppm: 11_000 })).toMatchObject({ value: 25, standard: "standard.iecMethane" });
    expect(only({ lpgPpm: 3500 })).toMatchObject({ value: 25, standard: "standard.iecButane" });
  });
});

describe("a level", () => {
  test.each(["co2", "eco2", "tvoc", "ch4Ppm", "lpgPpm", "coPpm"])("of %s never falls as the value rises", (field) => {
    const levels = Array.from({ length: 1400 }, (_, at) => only({ [field]: at * 50 })?.level ?? -1);
    expect(levels).toEqual([...levels].sort((one, other) => one - other));
    expect(levels[0]).toBe(0);
  });
});

describe("the order", () => {
  const smoke = { pm25: hours(300) };

  test("is worst first, with incomplete assessments last", () => {
    const levels = assessed({ co2: 1500, tvoc: 10, pm25: 80, coPpm: 1 }, { pm25: hours(80, 4) }).map(({ level }) => level);
    expect(levels).toEqual([3, 2, 0, 0, null, null]);
  });

  test("puts flames first, then gas from 20 % of its limit", () => {
    const all = assessed({ flameDetected: true, ch4Ppm: 8800 }, smoke);
    expect(keys(all).slice(0, 3)).toEqual(["index.flame", "index.lel.ch4", "index.aqi.pm25.now"]);
    expect(all.slice(0, 3).map(({ level, order }) => [level, order])).toEqual([[5, 7], [5, 6], [5, 5]]);
  });

  test("sorts gas below 20 % of its limit by level", () => {
    expect(keys(assessed({ ch4Ppm: 8799 }, smoke))[0]).toBe("index.aqi.pm25.now");
  });
});

describe("the worst of a device", () => {
  test("is its worst assessment", () => {
    const assessments = assessed({ co2: 2500, tvoc: 100, flameDetected: false });
    expect(worst(assessments)).toMatchObject({ key: "index.co2", level: 3, order: 3 });
    expect(worst(assessments.reverse())).toMatchObject({ key: "index.co2" });
  });

  test("is null without a complete assessment", () => {
    expect(worst([])).toBeNull();
    expect(worst(assessed({ pm25: 300 }))).toBeNull();
  });
});
