import { describe, expect, test } from "vitest";

import { DAY, HOUR, LENGTHS, LONGEST, MINUTE, MOST_POINTS, SHORTEST, every, live, pan, show, spanOf, stepFor, zoom } from "./time-range";
import { NOON } from "../testing";

test.each(Object.values(LENGTHS))("%d ms are shown in five hundred points at most, on round times", (length) => {
  const step = stepFor(length);
  expect(length / step).toBeLessThanOrEqual(MOST_POINTS);
  expect(length / step).toBeGreaterThan(MOST_POINTS / 4);
  expect(DAY % step).toBe(0);
});

test("a step is written as the bridge reads it", () => {
  expect([every(1000), every(stepFor(LONGEST))]).toEqual(["1s", "604800s"]);
});

test("live ends now", () => {
  expect(spanOf(live(HOUR), NOON)).toEqual({ from: NOON - HOUR, to: NOON });
});

describe("moving", () => {
  test("back leaves live, and forward to the present is live again", () => {
    const back = pan(live(HOUR), -0.5, NOON);
    expect(back).toEqual({ live: false, span: { from: NOON - 1.5 * HOUR, to: NOON - 0.5 * HOUR } });
    expect(pan(back, 0.5, NOON)).toEqual(live(HOUR));
    expect(pan(back, 3, NOON)).toEqual(live(HOUR));
  });
});

describe("zooming", () => {
  test("keeps the moment it is around where it is", () => {
    const range = zoom(show({ from: NOON - 8 * HOUR, to: NOON - 4 * HOUR }, NOON), 0.5, NOON, NOON - 7 * HOUR);
    expect(spanOf(range, NOON)).toEqual({ from: NOON - 7.5 * HOUR, to: NOON - 5.5 * HOUR });
  });

  test("of what is live stays live", () => {
    expect(zoom(live(HOUR), 0.5, NOON)).toEqual(live(30 * MINUTE));
  });

  test("ends where nothing more can be seen", () => {
    expect(zoom(live(SHORTEST), 0.5, NOON)).toEqual(live(SHORTEST));
    expect(zoom(live(LONGEST), 2, NOON)).toEqual(live(LONGEST));
    expect(spanOf(show({ from: NOON - HOUR, to: NOON - HOUR + 1 }, NOON), NOON)).toMatchObject({ to: NOON - HOUR + SHORTEST / 2 + 0.5 });
  });

  test("never shows the future", () => {
    const range = zoom(show({ from: NOON - 2 * HOUR, to: NOON - HOUR }, NOON), 10, NOON);
    expect(spanOf(range, NOON).to).toBeLessThanOrEqual(NOON);
  });
});
