import { describe, expect, it } from "vitest";

import type { Key } from "./accounts";
import { expiryOf, linesOf, parseKeys, parseMadeKeys, parsePeople, scopeBody } from "./accounts";

const DAY = 86_400_000;

describe("people and keys", () => {
  it("are read from the bridge's answers", () => {
    const [person] = parsePeople({ users: [{ name: "ann", role: "operator", scope: { devices: ["hall"], sites: [] }, createdAt: "2026-01-01T00:00:00.000Z", disabled: true }] });
    expect(person).toEqual({ name: "ann", role: "operator", scope: { devices: ["hall"], sites: [] }, createdAt: Date.UTC(2026, 0, 1), isDisabled: true });
    const [key] = parseKeys({ keys: [{ id: "a1", name: "grafana", kind: "program", rights: ["see"], scope: null, expires: null, by: "person:ann", createdAt: null }] });
    expect(key).toMatchObject({ id: "a1", rights: ["see"], scope: null, expires: null, by: "person:ann" });
    const answer = { keysEnded: [{ name: "old" }], keysKept: [{ name: "new" }], linksEnded: [{ id: "1", title: "Hall" }] };
    expect(parseMadeKeys(answer)).toEqual({ ended: ["old"], kept: ["new"], links: ["Hall"] });
    expect(parsePeople(null)).toEqual([]);
  });

  it("take an unknown role for the least", () => {
    expect(parsePeople({ users: [{ name: "x", role: "root" }] })[0]?.role).toBe("viewer");
  });

  it("have a scope of every device only when it is null", () => {
    expect(scopeBody(null)).toEqual({ scope: null });
    expect(scopeBody({ devices: [], sites: ["Home"] })).toEqual({ devices: [], sites: ["Home"] });
  });

  it("are named one a line", () => {
    expect(linesOf(" hall \n\nattic, left\nhall")).toEqual(["hall", "attic, left"]);
  });

  it("tell keys that expire soon", () => {
    const key = (days: number | null): Key => ({
      id: "", name: "", kind: "program", rights: [], scope: null, by: "", createdAt: 0, expires: days === null ? null : days * DAY,
    });
    expect(expiryOf(key(null), 0)).toBe("never");
    expect(expiryOf(key(30), 31 * DAY)).toBe("expired");
    expect(expiryOf(key(30), 28 * DAY)).toBe("soon");
    expect(expiryOf(key(30), 0)).toBe("later");
    expect(expiryOf(key(3650), 3650 * DAY - 20 * DAY)).toBe("later");
  });
});
