import { describe, expect, test } from "vitest";

import { isSettled, mergeCommands, parseCommand, parseCommandResult } from "./command";
import { NOON } from "./testing";

describe("a command", () => {
  const body = { id: "1", command: "servo1", value: 90, state: "sent", createdAt: "2026-01-15T12:00:00.000Z", expiresAt: "2026-01-15T12:01:00.000Z" };

  test("is parsed, or null when invalid", () => {
    expect(parseCommand(body)).toMatchObject({ command: "servo1", value: "90", state: "sent", createdAt: NOON });
    expect(parseCommand({ ...body, state: "dancing" })).toBeNull();
  });

  test("that was sent is settled once it expires", () => {
    const sent = parseCommand(body);
    expect(sent && [isSettled(sent, NOON), isSettled(sent, NOON + 60_001)]).toEqual([false, true]);
  });

  test("list is newest first and holds the latest state of each", () => {
    const [older, newer] = [parseCommand(body), parseCommand({ ...body, id: "2", createdAt: "2026-01-15T12:00:01.000Z" })];
    const confirmed = parseCommand({ ...body, state: "confirmed" });
    if (!older || !newer || !confirmed) throw new Error("not read");
    expect(mergeCommands([older], [newer, confirmed]).map(({ id, state }) => [id, state])).toEqual([["2", "sent"], ["1", "confirmed"]]);
  });

  test("result tells an offline device from other errors", () => {
    expect(parseCommandResult({ ok: false, error: "device offline" })).toEqual({ ok: false, error: "device offline", offline: true });
    expect(parseCommandResult({ ok: false, error: "no" })).toMatchObject({ offline: false });
    expect(parseCommandResult({ ok: true, ...body })).toMatchObject({ ok: true });
  });
});
