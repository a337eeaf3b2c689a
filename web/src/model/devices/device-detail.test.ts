import { describe, expect, test } from "vitest";

import { NOON } from "../testing";
import { extraPoints, parseDetail, parseExtraRecords, parseIgnoredKeysPage } from "./device-detail";

const SINCE = new Date(NOON).toISOString();
const UPTIME = { key: "uptime", reason: "unknown key", since: NOON, lastValue: 5 };

describe("the detail of a device", () => {
  test("has its clock, units, parts and the keys that are not taken", () => {
    const body = {
      clockOffset: "+07:00",
      units: { tvoc: "mg/m³" },
      parts: { "DS18B20-1": { series: "shared" }, "DS18B20-2": { series: "own", id: "cold.DS18B20-2" } },
      alsoSends: { uptime: { reason: "unknown key", since: SINCE, lastValue: 5 }, list: { reason: "unknown key", since: SINCE } },
    };
    expect(parseDetail(body)).toEqual({
      timezone: null,
      clockOffset: "+07:00",
      units: new Map([["tvoc", "mg/m³"]]),
      parts: [{ name: "DS18B20-1", id: null }, { name: "DS18B20-2", id: "cold.DS18B20-2" }],
      alsoSends: [UPTIME, { ...UPTIME, key: "list", lastValue: null }],
    });
  });

  test("is empty for an invalid body, and bounded", () => {
    const empty = { timezone: null, clockOffset: null, units: new Map(), parts: [], alsoSends: [] };
    for (const body of [null, 5, "<html>", [], { units: [], parts: "x", alsoSends: null }]) expect(parseDetail(body)).toEqual(empty);
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`k${n}`, {}]));
    expect(parseDetail({ alsoSends: many }).alsoSends).toHaveLength(64);
  });
});

test("keys that are not taken are listed by device", () => {
  const devices = [{ id: "hall", alsoSends: { uptime: { reason: "unknown key", since: SINCE, lastValue: 5 } } }, { id: "attic" }];
  expect(parseIgnoredKeysPage({ devices })).toEqual([{ deviceId: "hall", keys: [UPTIME] }]);
});

test("the numbers of a key become points within the span, by time", () => {
  const readings = [
    { timestamp: new Date(NOON + 2000).toISOString(), extra: { uptime: 7, fw: "1.2" } },
    { timestamp: new Date(NOON).toISOString(), extra: { uptime: 5 } },
    { timestamp: new Date(NOON + 1000).toISOString(), extra: { uptime: "six", relay: true } },
    { timestamp: new Date(NOON - 1).toISOString(), extra: { uptime: 4 } },
    { timestamp: "yesterday", extra: { uptime: 3 } },
    { timestamp: SINCE },
  ];
  const records = parseExtraRecords({ readings });
  expect(extraPoints(records, "uptime", { from: NOON, to: NOON + 5000 })).toEqual([{ at: NOON, value: 5 }, { at: NOON + 2000, value: 7 }]);
  expect(extraPoints(records, "fw", { from: 0, to: NOON * 2 })).toEqual([]);
});
