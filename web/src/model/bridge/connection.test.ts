import { describe, expect, test } from "vitest";

import { NOON } from "../testing";
import { DELAY_LIMIT_MS, INTERRUPTION_LIMIT_MS, NOT_CONNECTED, connectionState, linkStatus, troublesOf } from "./connection";

const open = { ...NOT_CONNECTED, open: true, wasOpen: true, transport: "websocket" } as const;
const silent = { kind: "silent", since: NOON - 300_000 } as const;
const flowing = { kind: "flowing" } as const;

describe("the connection state", () => {
  test.each([
    [NOT_CONNECTED, "connecting"],
    [open, "connected"],
    [{ ...open, open: false }, "reconnecting"],
    [{ ...open, catchingUp: true }, "delayed"],
    [{ ...open, delayMs: DELAY_LIMIT_MS + 1 }, "delayed"],
    [{ ...open, transport: "long-polling" as const }, "polling"],
    [{ ...open, transport: "http" as const }, "polling"],
  ])("%j is %s", (connection, state) => {
    expect(connectionState(connection)).toBe(state);
  });
});

describe("the status", () => {
  test.each([
    [open, flowing, { kind: "connected" }],
    [open, silent, silent],
    [{ ...open, transport: "http" as const }, silent, silent],
    [{ ...open, transport: "http" as const }, flowing, { kind: "polling" }],
    [open, { kind: "none" as const }, { kind: "none" }],
    [{ ...open, catchingUp: true }, silent, { kind: "delayed" }],
    [{ ...open, open: false }, silent, { kind: "reconnecting" }],
    [NOT_CONNECTED, { kind: "none" as const }, { kind: "connecting" }],
  ])("of %j with data %j is %j", (connection, flow, status) => {
    expect(linkStatus(connection, flow)).toEqual(status);
  });
});

describe("troubles", () => {
  const store = { name: "store", up: false, reason: "full", since: NOON };
  const lost = { ...open, open: false, lostAt: NOON };

  test("are that the bridge is unreachable, and nothing else that is not known then", () => {
    expect(troublesOf(lost, [store], silent, NOON + INTERRUPTION_LIMIT_MS)).toEqual([{ kind: "unreachable", since: NOON }]);
    expect(troublesOf(lost, [store], silent, NOON + INTERRUPTION_LIMIT_MS - 1)).toEqual([]);
    expect(troublesOf(NOT_CONNECTED, [], flowing, NOON)).toEqual([]);
  });

  test("are failing components, or that no data arrives", () => {
    expect(troublesOf(open, [store], silent, NOON)).toEqual([{ kind: "store", name: "store", reason: "full", since: NOON }]);
    expect(troublesOf(open, [], silent, NOON)).toEqual([{ kind: "noData", since: silent.since }]);
    expect(troublesOf(open, [], flowing, NOON)).toEqual([]);
  });

  test("do not include missing data while missed readings are being loaded", () => {
    expect(troublesOf({ ...open, catchingUp: true }, [], silent, NOON)).toEqual([]);
  });
});
