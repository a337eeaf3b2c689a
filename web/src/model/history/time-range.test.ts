import { describe, expect, test } from "vitest";

import { NOON } from "../testing";
import { DAY, HOUR, LENGTHS, MAX_LENGTH, MAX_POINTS, MINUTE, MIN_LENGTH, fixed, live, pan, spanOf, stepFor, stepText, zoom } from "./time-range";

test.each(Object.values(LENGTHS))("%d ms need at most 500 points, on round times", (length) => {
  const step = stepFor(length);
  expect(length / step).toBeLessThanOrEqual(MAX_POINTS);
  expect(length / step).toBeGreaterThan(MAX_POINTS / 4);
  expect(DAY % step).toBe(0);
});

test("a step is formatted in the bridge's notation", () => {
  expect([stepText(1000), stepText(stepFor(MAX_LENGTH))]).toEqual(["1s", "604800s"]);
});

test("a live range ends now", () => {
  expect(spanOf(live(HOUR), NOON)).toEqual({ from: NOON - HOUR, to: NOON });
});

describe("panning", () => {
  test("back leaves live mode, and forward to the present restores it", () => {
    const back = pan(live(HOUR), -0.5, NOON);
    expect(back).toEqual({ live: false, span: { from: NOON - 1.5 * HOUR, to: NOON - 0.5 * HOUR } });
    expect(pan(back, 0.5, NOON)).toEqual(live(HOUR));
    expect(pan(back, 3, NOON)).toEqual(live(HOUR));
  });
});

describe("zooming", () => {
  test("keeps the given moment in place", () => {
    const range = zoom(fixed({ from: NOON - 8 * HOUR, to: NOON - 4 * HOUR }, NOON), 0.5, NOON, NOON - 7 * HOUR);
    expect(spanOf(range, NOON)).toEqual({ from: NOON - 7.5 * HOUR, to: NOON - 5.5 * HOUR });
  });

  test("a live range keeps it live", () => {
    expect(zoom(live(HOUR), 0.5, NOON)).toEqual(live(30 * MINUTE));
  });

  test("stops at the shortest and longest length", () => {
    expect(zoom(live(MIN_LENGTH), 0.5, NOON)).toEqual(live(MIN_LENGTH));
    expect(zoom(live(MAX_LENGTH), 2, NOON)).toEqual(live(MAX_LENGTH));
    expect(spanOf(fixed({ from: NOON - HOUR, to: NOON - HOUR + 1 }, NOON), NOON)).toMatchObject({ to: NOON - HOUR + MIN_LENGTH / 2 + 0.5 });
  });

  test("never shows the future", () => {
    const range = zoom(fixed({ from: NOON - 2 * HOUR, to: NOON - HOUR }, NOON), 10, NOON);
    expect(spanOf(range, NOON).to).toBeLessThanOrEqual(NOON);
  });
});
