import { describe, expect, test } from "vitest";

import { HourBook, Meanings, meaningOf, severityOfOrder } from "./assessment";
import { NOON, device, reading } from "../testing";
import type { Bucket } from "../wire";

const HOUR = 3_600_000;
const heard = (values: Record<string, number | boolean>, over = {}) => device("kitchen", { lastReading: reading(1, values, over) });
const hour = (start: number, mean: number): Bucket => ({
  deviceId: "kitchen",
  start,
  fields: new Map([["pm25", { min: mean, mean, max: mean, count: 60 }]]),
});

describe("what a device's values mean", () => {
  test("the worst in a word, and all of them", () => {
    const meaning = meaningOf(heard({ co2: 2500, tvoc: 30 }), {}, NOON);
    expect(meaning.worst?.levelKey).toBe("level.co2.unacceptable");
    expect(meaning.judgements.map(({ key }) => key)).toEqual(["index.co2", "index.tvoc"]);
    expect(severityOfOrder(meaning.order)).toBe("warning");
  });

  test("a flame decides the order, but has words of its own", () => {
    const meaning = meaningOf(heard({ flameDetected: true, co2: 600 }), {}, NOON);
    expect([meaning.order, meaning.worst?.key]).toEqual([7, "index.co2"]);
  });

  test("of gas and carbon monoxide there is something to say once there is some", () => {
    expect(meaningOf(heard({ coPpm: 1, ch4Ppm: 2 }), {}, NOON).worst).toBeNull();
    const meaning = meaningOf(heard({ coPpm: 180, ch4Ppm: 2 }), {}, NOON);
    expect([meaning.worst?.levelKey, severityOfOrder(meaning.order)]).toEqual(["level.co.100", "alarm"]);
  });

  test("what is old, or was kept by the broker, means nothing now", () => {
    expect(meaningOf(heard({ co2: 2500 }), {}, NOON + HOUR).judgements).toEqual([]);
    expect(meaningOf(heard({ co2: 2500 }, { retained: true }), {}, NOON).judgements).toEqual([]);
    const seldom = device("kitchen", { interval: 3600, lastReading: reading(1, { co2: 2500 }) });
    expect(meaningOf(seldom, {}, NOON + 2 * HOUR).judgements).toHaveLength(1);
  });

  test("a flagged value calms nobody, but may alarm", () => {
    const flagged = (co2: number) => heard({ co2 }, { quality: new Map([["co2", "outside 300..10000"]]) });
    expect(meaningOf(flagged(120), {}, NOON).judgements).toEqual([]);
    expect(meaningOf(flagged(12_000), {}, NOON).order).toBe(3);
  });

  test("an index of the device's own is judged by the scale that it names", () => {
    expect(meaningOf(heard({ aqi: 4 }), {}, NOON).judgements).toEqual([]);
    expect(meaningOf(heard({ aqi: 4 }, { aqiScale: "uba" }), {}, NOON).worst?.levelKey).toBe("level.uba.4");
  });
});

describe("the hours of the last day", () => {
  test("are read once, then only what has ended since", () => {
    const book = new HourBook();
    expect(book.isFresh("kitchen", NOON)).toBe(false);
    expect(book.missingFrom("kitchen", NOON)).toBe(NOON - 25 * HOUR);
    book.load(["kitchen"], [hour(NOON - HOUR, 10)], NOON);
    expect(book.isFresh("kitchen", NOON + HOUR - 1)).toBe(true);
    expect(book.isFresh("kitchen", NOON + HOUR)).toBe(false);
    expect(book.missingFrom("kitchen", NOON + HOUR)).toBe(NOON - 2 * HOUR);
    book.load(["kitchen"], [hour(NOON - HOUR, 12), hour(NOON, 20)], NOON + HOUR);
    expect(book.of("kitchen")["pm25"]?.map(({ mean }) => mean)).toEqual([12, 20]);
  });

  test("stand until they are read anew when something was missed", () => {
    const book = new HourBook();
    book.load(["kitchen"], [hour(NOON - HOUR, 10)], NOON);
    book.doubt();
    expect(book.isFresh("kitchen", NOON)).toBe(false);
    expect(book.of("kitchen")["pm25"]).toHaveLength(1);
  });

  test("make an index once enough of them are known", () => {
    const book = new HourBook();
    const meanings = new Meanings(book);
    const one = heard({ pm25: 40 });
    expect(meanings.of(one, NOON).judgements.map(({ complete }) => complete)).toEqual([false, false]);
    book.load(["kitchen"], [1, 2, 3].map((ago) => hour(NOON - ago * HOUR, 40)), NOON);
    expect(meanings.of(one, NOON).worst?.key).toBe("index.aqi.pm25.now");
  });
});
