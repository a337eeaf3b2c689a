import { describe, expect, test } from "vitest";

import { DELAY_LIMIT_MS, NOT_CONNECTED, connectionState } from "./connection";

describe("the connection state", () => {
  const open = { ...NOT_CONNECTED, open: true, wasOpen: true, transport: "websocket" } as const;
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
