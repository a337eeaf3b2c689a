/** Who did what, as the bridge has written it down. */

import { field, list, number, text, time } from "./wire";

/** What can be done, or refused, by the bridge's names for it. */
export const ACTS = [
  "login", "login refused", "login delayed", "logout", "refresh replayed", "refused",
  "command", "command refused",
  "device added", "device changed", "device removed",
  "user added", "user changed", "user removed",
  "key added", "key removed",
] as const;
export type ActName = (typeof ACTS)[number];

export type Outcome = "done" | "refused" | "delayed";

export interface Act {
  readonly id: string;
  readonly at: number;
  readonly act: string;
  readonly kind: string;
  readonly by: string;
  readonly address: string;
  readonly about: string;
  readonly more: readonly (readonly [name: string, said: string])[];
  /** The same came so often within a second; within a minute where nobody was logged in. */
  readonly times: number;
}

/** Empty texts ask for any; `before` is the oldest that is known already. */
export interface AuditQuery {
  readonly act: string;
  readonly by: string;
  readonly about: string;
  readonly before: string | null;
}

export interface AuditPage {
  readonly acts: readonly Act[];
  /** Where the following page begins; null after the last. */
  readonly next: string | null;
}

const PAGE = 50;
const LONGEST = 200;

export function parseAudit(body: unknown): AuditPage {
  return { acts: list(field(body, "acts")).flatMap((one) => parseAct(one) ?? []), next: text(field(body, "next")) || null };
}

function parseAct(body: unknown): Act | null {
  const [id, at] = [text(field(body, "_id")), time(field(body, "timestamp"))];
  if (!id || at === null) return null;
  const more = field(body, "more");
  const said = typeof more === "object" && more !== null ? Object.entries(more) : [];
  return {
    id,
    at,
    act: text(field(body, "act")),
    kind: text(field(body, "kind")),
    by: text(field(body, "by")),
    address: text(field(body, "address")),
    about: text(field(body, "about")),
    more: said.map(([name, value]) => [text(name), text(value, LONGEST)] as const),
    times: number(field(body, "times")) ?? 1,
  };
}

export function queryOf({ act, by, about, before }: AuditQuery): string {
  const asked = Object.entries({ act, by: by.trim(), about: about.trim(), before: before ?? "" }).filter(([, value]) => value !== "");
  return new URLSearchParams([...asked, ["limit", String(PAGE)]]).toString();
}

export function asActName(act: string): ActName | null {
  return ACTS.find((one) => one === act) ?? null;
}

export function outcomeOf(act: string): Outcome {
  if (act === "login delayed") return "delayed";
  return /\b(refused|replayed)$/.test(act) ? "refused" : "done";
}
