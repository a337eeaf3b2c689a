import { describe, expect, test } from "vitest";

import { INDEX_BANDS, TABLES, type Pollutant, aqi, aqiCategory, truncated } from "./aqi";

const POLLUTANTS = Object.keys(TABLES) as Pollutant[];
const step = (pollutant: Pollutant): number => 10 ** -TABLES[pollutant].digits;

describe("worked examples", () => {
  test("8.4 ppm of carbon monoxide, of the EPA and CIESE lesson \"What's Your AQI?\", are 90 by equation 1", () => {
    expect(aqi("coPpm", 8.4)).toEqual({ index: 90, category: 1 }); // (100 - 51) / (9.4 - 4.5) * (8.4 - 4.5) + 51
  });

  test("17.4 µg/m³, the result of the EPA's NowCast example, are 66 by the breakpoints of 2024; they were 62", () => {
    expect(aqi("pm25", 17.4)).toEqual({ index: 66, category: 1 }); // (100 - 51) / (35.4 - 9.1) * (17.4 - 9.1) + 51
  });

  // The numbers of its table of 2024: where the standards lie, and what is worth an AQI of 500.
  test.each<[Pollutant, number, number]>([
    ["pm25", 9.0, 50],
    ["pm25", 35.4, 100],
    ["pm25", 325.4, 500],
    ["pm10", 154, 100],
    ["pm10", 604, 500],
    ["coPpm", 9.4, 100],
    ["coPpm", 50.4, 500],
  ])("%s of %f is %i", (pollutant, concentration, index) => {
    expect(aqi(pollutant, concentration).index).toBe(index);
  });
});

describe.each(POLLUTANTS)("the index of %s", (pollutant) => {
  const { bands } = TABLES[pollutant];

  test.each(bands.map(([low, high], category) => [low, high, category] as const))(
    "from %f to %f has the numbers of its category",
    (low, high, category) => {
      expect(aqi(pollutant, low)).toEqual({ index: INDEX_BANDS[category]?.[0], category });
      expect(aqi(pollutant, high)).toEqual({ index: INDEX_BANDS[category]?.[1], category });
    },
  );

  test("has no gap between categories, because concentrations are truncated", () => {
    for (const [at, [low]] of bands.slice(1).entries()) {
      expect(low - (bands[at]?.[1] ?? 0)).toBeCloseTo(step(pollutant), 6);
      expect(aqi(pollutant, low - 0.01 * step(pollutant))).toEqual(aqi(pollutant, bands[at]?.[1] ?? 0));
    }
  });

  test("is an integer, rises with the concentration, and lies in its category", () => {
    const rising = Array.from({ length: 50_000 }, (_, at) => aqi(pollutant, (at * step(pollutant)) / 7));
    expect(rising.filter(({ index }, at) => index < (rising[at - 1]?.index ?? 0))).toEqual([]);
    expect(rising.filter(({ index, category }) => aqiCategory(index) !== category)).toEqual([]);
    expect(rising.filter(({ index }) => !Number.isInteger(index))).toEqual([]);
  });

  test("is extrapolated above 500", () => {
    const [low, high] = bands.at(-1) ?? [0, 0];
    expect(aqi(pollutant, high + (high - low))).toEqual({ index: 699, category: 5 });
  });

  test("is 0 for zero and negative concentrations", () => {
    expect(aqi(pollutant, 0)).toEqual({ index: 0, category: 0 });
    expect(aqi(pollutant, -0.4)).toEqual({ index: 0, category: 0 });
  });
});

test("half an index is rounded up: 1.1 ppm of carbon monoxide is 12.5", () => {
  expect(aqi("coPpm", 1.1).index).toBe(13);
});

describe("truncation", () => {
  test.each<[Pollutant, number, number]>([
    ["pm25", 35.49, 35.4],
    ["pm25", 9.09, 9.0],
    ["pm25", 9.1, 9.1],
    ["pm25", 0.09, 0],
    ["pm10", 54.99, 54],
    ["pm10", 155, 155],
    ["coPpm", 4.49, 4.4],
    ["coPpm", 9.4999, 9.4],
  ])("of %s at %f is %f", (pollutant, concentration, expected) => {
    expect(truncated(pollutant, concentration)).toBe(expected);
  });

  test("does not change a value without excess digits", () => {
    const tenths = Array.from({ length: 100_001 }, (_, at) => at / 10);
    expect(tenths.filter((value) => truncated("pm25", value) !== value)).toEqual([]);
  });

  test("tolerates the rounding errors of binary fractions", () => {
    const sum = new Array<number>(24).fill(35.5).reduce((total, hour) => total + hour - 0.1 + 0.1, 0);
    const many = new Array<number>(24).fill(9.1).reduce((total, hour) => total + hour, 0);
    expect(truncated("pm25", sum / 24)).toBe(35.5);
    expect(many / 24).toBeLessThan(9.1);
    expect(truncated("pm25", many / 24)).toBe(9.1);
  });
});

test.each([[0, 0], [50, 0], [50.4, 0], [51, 1], [100, 1], [101, 2], [151, 3], [201, 4], [300, 4], [301, 5], [999, 5]])(
  "a device's index of %f is of category %i",
  (index, category) => {
    expect(aqiCategory(index)).toBe(category);
  },
);
