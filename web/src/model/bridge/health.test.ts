import { describe, expect, test } from "vitest";

import { NOON } from "../testing";
import type { HealthSnapshot } from "./health";
import { Rates, difference, findingSeverity, findings, parseComponents, parseQuarantine, parseStatus, totalOf } from "./health";
import { parseMetrics } from "./metrics";

describe("the ledger", () => {
  const line = { received: 13, stored: 5, duplicate: 1, rejected: 2, ignored: 3, dropped: 1, waiting: 1, readings: 8 };
  const status = parseStatus({ connectedClients: 3, ledger: { mqtt: line, http: { received: 2, stored: 1 } } });

  test("reports the difference when it does not balance", () => {
    expect(status.ledger.map(difference)).toEqual([0, 1]);
    expect(totalOf(status.ledger)).toMatchObject({ received: 15, stored: 6, ignored: 3, readings: 8 });
    expect(status.clients).toBe(3);
  });

  test("has a rate over the last ten seconds, reset when the bridge restarts", () => {
    const rates = new Rates();
    const at = (received: number) => [{ ...totalOf([]), source: "mqtt", received }];
    rates.add(at(0), 0);
    expect(rates.of("mqtt")).toBeNull();
    rates.add(at(100), 10_000);
    expect(rates.of("mqtt")).toBe(10);
    rates.add(at(400), 20_000);
    expect(rates.of("mqtt")).toBe(30);
    rates.add(at(3), 22_000);
    expect(rates.of("mqtt")).toBeNull();
  });

  test("is empty for an invalid body", () => {
    expect(parseStatus("<html>")).toEqual({ clients: null, ledger: [] });
    expect(parseQuarantine(null)).toEqual({ groups: [], messages: [] });
    expect(parseComponents(5)).toEqual([]);
  });
});

describe("findings", () => {
  const FLOWING = { kind: "flowing" } as const;
  const healthy: HealthSnapshot = { reachable: true, components: [], status: null, metrics: null, quarantine: null, ignoredKeys: [] };
  const kinds = (snapshot: Partial<HealthSnapshot>) => findings({ ...healthy, ...snapshot }, FLOWING, NOON).map(({ kind }) => kind);

  test("are empty for a healthy bridge", () => expect(kinds({})).toEqual([]));
  test("of an unreachable bridge are that alone", () => expect(kinds({ reachable: false })).toEqual(["unreachable"]));
  test("name the failing components", () => {
    const components = parseComponents({ parts: { mqtt: { status: "failing", reason: "refused" }, store: { status: "ok" }, other: { status: "x" } } });
    expect(kinds({ components })).toEqual(["broker", "component"]);
  });
  test("say since when a component fails", () => {
    const components = parseComponents({ parts: { store: { status: "failing", reason: "full", since: new Date(NOON).toISOString() } } });
    expect(findings({ ...healthy, components }, FLOWING, NOON)).toEqual([{ kind: "store", name: "store", reason: "full", since: NOON }]);
  });
  test("include that no data arrives, unless the broker or the store explains it", () => {
    const silent = { kind: "silent", since: NOON } as const;
    const found = (parts: object) => findings({ ...healthy, components: parseComponents({ parts }) }, silent, NOON).map(({ kind }) => kind);
    expect(found({})).toEqual(["noData"]);
    expect(found({ other: { status: "failing" } })).toEqual(["component", "noData"]);
    expect(found({ mqtt: { status: "failing" } })).toEqual(["broker"]);
    expect(found({ store: { status: "failing" } })).toEqual(["store"]);
  });
  test("include waiting, dropped and unaccounted messages", () => {
    const status = parseStatus({ ledger: { mqtt: { received: 3001, stored: 1, waiting: 2000, dropped: 1000 }, http: { received: 1 } } });
    expect(kinds({ status })).toEqual(["ledger", "waiting", "dropped"]);
  });
  test("include slow clients", () => expect(kinds({ metrics: parseMetrics("bridge_clients_slow 2.0") })).toEqual(["slow"]));
  test("include recent rejections as a notice, because they are no fault of the bridge", () => {
    const group = (newest: number) => ({ code: "c", field: null, reason: "not JSON", count: 1, newest: new Date(newest).toISOString() });
    const quarantine = parseQuarantine({ groups: [group(NOON - 1000), group(NOON - 7_200_000)] });
    const [found] = findings({ ...healthy, quarantine }, FLOWING, NOON);
    expect(found).toEqual({ kind: "rejected", reason: "not JSON" });
    expect(found && findingSeverity(found)).toBe("notice");
    expect(kinds({ quarantine: parseQuarantine({ groups: [group(NOON - 7_200_000)] }) })).toEqual([]);
  });
});
