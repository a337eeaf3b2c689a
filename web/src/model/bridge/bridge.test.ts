/** The way to the bridge, and what it says of itself. */

import { describe, expect, test } from "vitest";

import { BridgeClock } from "./clock";
import { isSettled, merged, parseAnswer, parseCommand } from "../command";
import { Rates, difference, findings, gravity, parseParts, parseQuarantine, parseStatus, sum } from "./health";
import type { Known } from "./health";
import { Lag } from "./delivery-delay";
import { BEHIND_MS, NO_LINK, linkState } from "./connection";
import { label, parseMetrics, total } from "./metrics";
import { parseFlaw } from "../devices/quality-flag";
import { link, parseRoute } from "../route";
import { NOON } from "../testing";

describe("the connection in one word", () => {
  const open = { ...NO_LINK, open: true, known: true, via: "websocket" } as const;
  test.each([
    [NO_LINK, "connecting"],
    [open, "connected"],
    [{ ...open, open: false }, "reconnecting"],
    [{ ...open, catchingUp: true }, "behind"],
    [{ ...open, lagMs: BEHIND_MS + 1 }, "behind"],
    [{ ...open, via: "long-polling" as const }, "polling"],
    [{ ...open, via: "http" as const }, "polling"],
  ])("%j is %s", (known, state) => {
    expect(linkState(known)).toBe(state);
  });
});

test("the bridge's clock is followed, but not within the second its header leaves open", () => {
  const clock = new BridgeClock();
  clock.observe(NOON + 1000, NOON);
  expect(clock.at(NOON)).toBe(NOON);
  clock.observe(NOON + 90_000, NOON);
  expect(clock.at(NOON)).toBe(NOON + 90_000);
});

describe("how far behind the page is", () => {
  test("does not depend on whose clock is right", () => {
    const lag = new Lag();
    for (let n = 0; n < 5; n += 1) lag.observe(NOON + n, NOON + n + 3_600_000);
    expect(lag.milliseconds).toBe(0);
    lag.observe(NOON + 5, NOON + 3_604_005);
    expect(lag.milliseconds).toBe(4000);
  });

  test("is nothing before anything came, and after a new connection", () => {
    const lag = new Lag();
    expect(lag.milliseconds).toBe(0);
    lag.observe(NOON, NOON);
    lag.observe(NOON, NOON + 9000);
    lag.forget();
    expect(lag.milliseconds).toBe(0);
  });
});

describe("the ledger", () => {
  const line = { received: 10, stored: 5, duplicate: 1, rejected: 2, dropped: 1, waiting: 1 };
  const status = parseStatus({ connectedClients: 3, ledger: { mqtt: line, http: { received: 2, stored: 1 } } });

  test("adds up, or what is missing is told", () => {
    expect(status.accounts.map(difference)).toEqual([0, 1]);
    expect(sum(status.accounts)).toMatchObject({ received: 12, stored: 6 });
    expect(status.clients).toBe(3);
  });

  test("has a rate over the last ten seconds, and begins anew with the bridge", () => {
    const rates = new Rates();
    const at = (received: number) => [{ ...sum([]), source: "mqtt", received }];
    rates.add(at(0), 0);
    expect(rates.of("mqtt")).toBeNull();
    rates.add(at(100), 10_000);
    expect(rates.of("mqtt")).toBe(10);
    rates.add(at(400), 20_000);
    expect(rates.of("mqtt")).toBe(30);
    rates.add(at(3), 22_000);
    expect(rates.of("mqtt")).toBeNull();
  });

  test("of garbage is empty", () => {
    expect(parseStatus("<html>")).toEqual({ clients: null, accounts: [] });
    expect(parseQuarantine(null)).toEqual({ groups: [], messages: [] });
    expect(parseParts(5)).toEqual([]);
  });
});

describe("what is wrong", () => {
  const well: Known = { answers: true, parts: [], status: null, metrics: null, quarantine: null };
  const kinds = (known: Partial<Known>) => findings({ ...well, ...known }, NOON).map(({ kind }) => kind);

  test("nothing, when all is well", () => expect(kinds({})).toEqual([]));
  test("a bridge that does not answer, and nothing else is known then", () => expect(kinds({ answers: false })).toEqual(["silent"]));
  test("parts that do not work", () => {
    const parts = parseParts({ parts: { mqtt: { status: "failing", reason: "refused" }, store: { status: "ok" }, other: { status: "x" } } });
    expect(kinds({ parts })).toEqual(["broker", "part"]);
  });
  test("what waits, was dropped, or does not add up", () => {
    const status = parseStatus({ ledger: { mqtt: { received: 3001, stored: 1, waiting: 2000, dropped: 1000 }, http: { received: 1 } } });
    expect(kinds({ status })).toEqual(["sum", "waiting", "dropped"]);
  });
  test("slow clients", () => expect(kinds({ metrics: parseMetrics("bridge_clients_slow 2.0") })).toEqual(["slow"]));
  test("what was rejected lately, which is no fault of the bridge", () => {
    const group = (newest: number) => ({ code: "c", field: null, reason: "not JSON", count: 1, newest: new Date(newest).toISOString() });
    const quarantine = parseQuarantine({ groups: [group(NOON - 1000), group(NOON - 7_200_000)] });
    const [found] = findings({ ...well, quarantine }, NOON);
    expect(found).toEqual({ kind: "rejected", reason: "not JSON" });
    expect(found && gravity(found)).toBe("notice");
    expect(kinds({ quarantine: parseQuarantine({ groups: [group(NOON - 7_200_000)] }) })).toEqual([]);
  });
});

test("the metrics of Prometheus are read", () => {
  const metrics = parseMetrics('# HELP x y\nbridge_clients_cut_total{reason="slow",x="a\\"b"} 2.0\nbridge_clients_cut_total{reason="rate"} 1\nnonsense\n');
  expect(total(metrics, "bridge_clients_cut_total")).toBe(3);
  expect(label(metrics, "bridge_clients_cut_total", "x")).toBe('a\\"b');
  expect(total(metrics, "none")).toBe(0);
});

describe("a command", () => {
  const body = { id: "1", command: "servo1", value: 90, state: "sent", createdAt: "2026-01-15T12:00:00.000Z", expiresAt: "2026-01-15T12:01:00.000Z" };

  test("is read, or is none", () => {
    expect(parseCommand(body)).toMatchObject({ command: "servo1", value: "90", state: "sent", createdAt: NOON });
    expect(parseCommand({ ...body, state: "dancing" })).toBeNull();
  });

  test("that was sent is waited for until its time is over", () => {
    const sent = parseCommand(body);
    expect(sent && [isSettled(sent, NOON), isSettled(sent, NOON + 60_001)]).toEqual([false, true]);
  });

  test("has its newest state in the list, which is newest first", () => {
    const [older, newer] = [parseCommand(body), parseCommand({ ...body, id: "2", createdAt: "2026-01-15T12:00:01.000Z" })];
    const confirmed = parseCommand({ ...body, state: "confirmed" });
    if (!older || !newer || !confirmed) throw new Error("not read");
    expect(merged([older], [newer, confirmed]).map(({ id, state }) => [id, state])).toEqual([["2", "sent"], ["1", "confirmed"]]);
  });

  test("that the device is not there for is told from other refusals", () => {
    expect(parseAnswer({ ok: false, error: "device offline" })).toEqual({ ok: false, error: "device offline", offline: true });
    expect(parseAnswer({ ok: false, error: "no" })).toMatchObject({ offline: false });
    expect(parseAnswer({ ok: true, ...body })).toMatchObject({ ok: true });
  });
});

test.each([
  ["outside 400..65000", { kind: "outside", low: 400, high: 65000, clamped: false }],
  ["outside -40..85", { kind: "outside", low: -40, high: 85, clamped: false }],
  ["outside 0..100, clamped", { kind: "outside", low: 0, high: 100, clamped: true }],
  ["outside 0..1e+06", { kind: "outside", low: 0, high: 1_000_000, clamped: false }],
  ["not a number", { kind: "notANumber" }],
  ["something new", { kind: "other", text: "something new" }],
  ["constructor", { kind: "other", text: "constructor" }],
])("the flag %j is understood", (text, flaw) => {
  expect(parseFlaw(text)).toEqual(flaw);
});

describe("an address", () => {
  test.each([
    ["", { view: "overview" }],
    ["#/", { view: "overview" }],
    ["#/device/a%3Ab", { view: "device", id: "a:b" }],
    ["#/feed?device=kitchen", { view: "feed", device: "kitchen" }],
    ["#/health", { view: "health" }],
    ["#/device/%E0%A4%A", { view: "nowhere" }],
    ["#/device/a/b", { view: "nowhere" }],
    ["#/constructor", { view: "nowhere" }],
  ])("%s", (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
  });

  test("is found again", () => {
    const id = "greenhouse.north:row-12";
    expect(parseRoute(link({ view: "device", id }))).toEqual({ view: "device", id });
    expect(parseRoute(link({ view: "feed", device: id }))).toEqual({ view: "feed", device: id });
  });
});
