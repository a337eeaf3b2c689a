import { expect, test } from "vitest";

import { chartData, isolatedPoints } from "./chart-data";

const measured = { times: [10, 20, 30], mean: [1, null, 3], min: [0, null, 2], max: [2, null, 4] };
const fan = { times: [25, 30, 40], mean: [5, 6, 7], low: [4, 5, 6], high: [6, 7, 8] };

test("measured values and the forecast share one axis, and neither breaks the line of the other", () => {
  const [times, mean, max, min, ahead, high, low] = chartData(measured, fan);
  expect(times).toEqual([10, 20, 25, 30, 40]);
  expect(mean).toEqual([1, null, undefined, 3, undefined]);
  expect([max[3], min[3]]).toEqual([4, 2]);
  expect(ahead).toEqual([undefined, undefined, 5, 6, 7]);
  expect([high[4], low[4]]).toEqual([8, 6]);
});

test("a chart without a forecast has its measured values as they are", () => {
  const [times, mean] = chartData(measured, { times: [], mean: [], low: [], high: [] });
  expect([times, mean]).toEqual([measured.times, measured.mean]);
});

test.each([
  [[null, 1, null, 2, 3], [1]],
  [[1], [0]],
  [[undefined, 1, undefined, 2, undefined], []],
  [[null, 1, undefined, null, undefined, 2], [1, 5]],
  [[], []],
])("%j has isolated points at %j", (values, points) => {
  expect(isolatedPoints(values)).toEqual(points);
});
