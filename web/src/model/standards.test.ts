import { expect, test } from "vitest";

import { bandOf, bandsIn, parseStandards, standardOf } from "./standards";

const band = (from: number, level: number) => ({ from, level, levelKey: `level.${level}` });
const body = {
  standards: [
    { key: "index.co2", field: "co2", standard: "standard.ubaCo2", averaging: "averaging.latest", bands: [band(1000, 2), band(0, 0), band(2000, 3)] },
    { key: "index.device.uba", field: "aqi", standard: "s", averaging: "a", bands: [band(1, 0), band(2, 1)] },
    { key: "index.device.epa", field: "aqi", standard: "s", averaging: "a", bands: [band(0, 0), band(51, 1)] },
    { key: "broken", field: "co2", bands: [{ from: "x" }, null] },
    null,
  ],
};

test("bands are sorted, and what is not a standard is left out", () => {
  const standards = parseStandards(body);
  expect(standards.map(({ key }) => key)).toEqual(["index.co2", "index.device.uba", "index.device.epa"]);
  expect(standards[0]?.bands.map(({ from }) => from)).toEqual([0, 1000, 2000]);
  expect(parseStandards("nonsense")).toEqual([]);
});

test("an index is drawn with the scale by which the device is judged", () => {
  const standards = parseStandards(body);
  expect(standardOf(standards, "aqi", new Set(["index.device.epa"]))?.key).toBe("index.device.epa");
  expect(standardOf(standards, "aqi", new Set())).toBeNull();
  expect(standardOf(standards, "co2", new Set())?.key).toBe("index.co2");
  expect(standardOf(standards, "noise", new Set())).toBeNull();
});

test("a value is in the band that begins at or below it", () => {
  const [co2] = parseStandards(body);
  if (!co2) throw new Error("no standard");
  expect([999, 1000, 5000].map((value) => bandOf(co2, value)?.level)).toEqual([0, 2, 3]);
  expect(bandOf(co2, -1)).toBeNull();
  expect(bandsIn(co2, 400, 1200).map(({ level }) => level)).toEqual([0, 2]);
});
