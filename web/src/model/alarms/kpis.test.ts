import { expect, test } from "vitest";

import { kpiFigures, parseKpis } from "./kpis";

const BODY = {
  from: "2026-01-14T12:00:00.000Z", to: "2026-01-15T12:00:00.000Z", raised: 150, standing: { critical: 1, high: 0, medium: 2, low: 3 },
  perTenMinutes: 1.042, mostInTenMinutes: 12, floodShare: 0.02, chattering: [{ deviceId: null, rule: "co2-air" }, {}, null], stale: ["a", 7],
  acknowledgeMedianSeconds: 90.5, acknowledgeP90Seconds: null,
};

test("figures are those of the bridge, each with whether it meets its target", () => {
  const kpis = parseKpis(BODY);
  if (!kpis) throw new Error("not read");
  expect(kpiFigures(kpis).map(({ name, value, isMet }) => [name, value, isMet])).toEqual([
    ["raised", 150, null],
    ["perTenMinutes", 1.042, false],
    ["mostInTenMinutes", 12, false],
    ["floodShare", 0.02, false],
    ["stale", 1, true],
    ["chattering", 1, false],
    ["acknowledgeMedian", 90.5, null],
    ["acknowledgeP90", null, null],
  ]);
  expect(kpis.standing).toEqual({ critical: 1, high: 0, medium: 2, low: 3 });
});

test("a calm day meets every target", () => {
  const calm = parseKpis({ from: BODY.from, to: BODY.to });
  if (!calm) throw new Error("not read");
  expect(kpiFigures(calm).every(({ isMet }) => isMet !== false)).toBe(true);
});

test.each([[null], [{}], [{ from: "soon", to: BODY.to }]])("%j has no figures", (body) => {
  expect(parseKpis(body)).toBeNull();
});
