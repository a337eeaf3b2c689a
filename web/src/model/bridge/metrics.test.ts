import { expect, test } from "vitest";

import { label, parseMetrics, total } from "./metrics";

test("Prometheus metrics are parsed", () => {
  const metrics = parseMetrics('# HELP x y\nbridge_clients_cut_total{reason="slow",x="a\\"b"} 2.0\nbridge_clients_cut_total{reason="rate"} 1\nnonsense\n');
  expect(total(metrics, "bridge_clients_cut_total")).toBe(3);
  expect(label(metrics, "bridge_clients_cut_total", "x")).toBe('a\\"b');
  expect(total(metrics, "none")).toBe(0);
});
