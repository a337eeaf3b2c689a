import { describe, expect, test } from "vitest";

import { NOON } from "../testing";
import type { Sender } from "./data-flow";
import { dataFlow } from "./data-flow";

const MINUTE = 60_000;

/** A device that was heard so many minutes before noon and sends every so many seconds. */
const sender = (minutesAgo: number, intervalSeconds: number | null): Sender => ({
  receivedAt: NOON - minutesAgo * MINUTE,
  intervalMs: intervalSeconds === null ? null : intervalSeconds * 1000,
});

describe("data", () => {
  test("has never arrived without a reading", () => {
    expect(dataFlow([], NOON)).toEqual({ kind: "none" });
    expect(dataFlow([{ receivedAt: null, intervalMs: 2000 }], NOON)).toEqual({ kind: "none" });
  });

  test.each([
    ["one fast device, heard now", [sender(0, 2)]],
    ["fast devices, less than a minute of silence", [sender(0.9, 2), sender(0.95, 2)]],
    ["devices that send once an hour, two hours ago", [sender(120, 3600), sender(121, 3600)]],
    ["one of two fast devices has failed", [sender(5, 2), sender(0, 2)]],
    ["a slow device was heard after the fast ones failed", [sender(9, 2), sender(9, 2), sender(2, 300)]],
    ["no rhythm is known, nine minutes ago", [sender(9, null)]],
    ["one of two has failed, and the other is slow", [sender(5, 2), sender(5, 3600)]],
  ])("flows: %s", (_, senders) => {
    expect(dataFlow(senders, NOON)).toEqual({ kind: "flowing" });
  });

  test.each([
    ["all fast devices missed a minute", [sender(1.1, 2), sender(1.2, 2)], 1.1],
    ["most of them did, and slow ones are not due yet", [sender(2, 2), sender(2, 2), sender(3, 3600)], 2],
    ["the rhythm of slow devices does not explain it", [sender(200, 3600), sender(190, 3600)], 190],
    ["devices that failed long ago have no say", [sender(5000, 3600), sender(4000, 3600), sender(4, 10)], 4],
    ["a device without a rhythm was heard last", [sender(3, 10), sender(2.5, null)], 2.5],
  ])("is silent: %s", (_, senders, minutes) => {
    expect(dataFlow(senders, NOON)).toEqual({ kind: "silent", since: NOON - minutes * MINUTE });
  });

  test("is quiet after ten minutes where no rhythm says that something should arrive", () => {
    expect(dataFlow([sender(11, null), sender(50, null)], NOON)).toEqual({ kind: "quiet", since: NOON - 11 * MINUTE });
  });

  test("was received now at the latest, whatever the clock said then", () => {
    expect(dataFlow([sender(-60, 2)], NOON)).toEqual({ kind: "flowing" });
  });
});
