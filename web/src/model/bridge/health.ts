/** What the bridge says of itself, and what that means for the person who looks after it. */

import type { Metrics } from "./metrics";
import { total } from "./metrics";
import type { Severity } from "../devices/issues";
import { field, list, number, text, time } from "../wire";

export interface Account {
  readonly source: string;
  readonly received: number;
  readonly stored: number;
  readonly duplicate: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly waiting: number;
}

export const OUTCOMES = ["stored", "duplicate", "rejected", "dropped", "waiting"] as const;

export interface Part {
  readonly name: string;
  readonly up: boolean;
  readonly reason: string;
}

export interface Status {
  readonly clients: number | null;
  readonly accounts: readonly Account[];
}

export interface RejectedGroup {
  readonly code: string;
  readonly field: string;
  readonly reason: string;
  readonly count: number;
  readonly newest: number | null;
}

export interface RejectedMessage {
  readonly id: string;
  readonly receivedAt: number | null;
  readonly source: string;
  readonly topic: string;
  readonly reason: string;
  readonly payload: string;
  /** The payload is no text: it is shown in base64. */
  readonly binary: boolean;
}

export interface Quarantine {
  readonly groups: readonly RejectedGroup[];
  readonly messages: readonly RejectedMessage[];
}

export type Finding =
  | { readonly kind: "silent" }
  | { readonly kind: "broker" | "store" | "part"; readonly name: string; readonly reason: string }
  | { readonly kind: "sum"; readonly source: string; readonly difference: number }
  | { readonly kind: "waiting" | "dropped"; readonly count: number }
  | { readonly kind: "slow"; readonly count: number }
  | { readonly kind: "rejected"; readonly reason: string };

export const MUCH_WAITING = 1000;
export const RECENT_MS = 3_600_000;
const LONGEST_PAYLOAD = 64 * 1024;

export function parseStatus(body: unknown): Status {
  const ledger = field(body, "ledger");
  const lines = typeof ledger === "object" && ledger !== null ? Object.entries(ledger) : [];
  return { clients: number(field(body, "connectedClients")), accounts: lines.map(([source, line]) => parseAccount(text(source), line)) };
}

function parseAccount(source: string, line: unknown): Account {
  const of = (name: string): number => number(field(line, name)) ?? 0;
  return {
    source,
    received: of("received"),
    stored: of("stored"),
    duplicate: of("duplicate"),
    rejected: of("rejected"),
    dropped: of("dropped"),
    waiting: of("waiting"),
  };
}

export function parseParts(body: unknown): Part[] {
  const parts = field(body, "parts");
  if (typeof parts !== "object" || parts === null) return [];
  return Object.entries(parts).map(([name, part]) => ({
    name: text(name),
    up: field(part, "status") === "ok",
    reason: text(field(part, "reason"), 1000),
  }));
}

export function parseQuarantine(body: unknown): Quarantine {
  return {
    groups: list(field(body, "groups")).map((one) => ({
      code: text(field(one, "code")),
      field: text(field(one, "field")),
      reason: text(field(one, "reason"), 1000),
      count: number(field(one, "count")) ?? 0,
      newest: time(field(one, "newest")),
    })),
    messages: list(field(body, "messages")).map((one) => {
      const payload = field(one, "payload");
      const binary = typeof payload !== "string";
      return {
        id: text(field(one, "_id")),
        receivedAt: time(field(one, "receivedAt")),
        source: text(field(one, "source")),
        topic: text(field(one, "topic"), 1000),
        reason: text(field(one, "reason"), 1000),
        payload: text(binary ? field(one, "payloadBase64") : payload, LONGEST_PAYLOAD),
        binary,
      };
    }),
  };
}

/** What is received beyond what is accounted for: 0, always. */
export function difference(account: Account): number {
  return account.received - OUTCOMES.reduce((sum, name) => sum + account[name], 0);
}

export function sum(accounts: readonly Account[]): Account {
  const of = (name: Exclude<keyof Account, "source">): number => accounts.reduce((all, one) => all + one[name], 0);
  return {
    source: "",
    received: of("received"),
    stored: of("stored"),
    duplicate: of("duplicate"),
    rejected: of("rejected"),
    dropped: of("dropped"),
    waiting: of("waiting"),
  };
}

/** Messages received a second, by source, out of the status asked again and again; over the last ten seconds or so. */
export class Rates {
  #samples: { at: number; received: Map<string, number> }[] = [];

  add(accounts: readonly Account[], at: number): void {
    const received = new Map(accounts.map((one) => [one.source, one.received]));
    const last = this.#samples.at(-1);
    const restarted = [...received].some(([source, count]) => count < (last?.received.get(source) ?? 0));
    if (restarted) this.#samples = [];
    this.#samples = [...this.#samples.filter((one) => at - one.at <= 10_500), { at, received }];
  }

  /** Null until there is something to compare. */
  of(source: string): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.at <= first.at) return null;
    const count = (last.received.get(source) ?? 0) - (first.received.get(source) ?? 0);
    return count / ((last.at - first.at) / 1000);
  }
}

export interface Known {
  readonly answers: boolean;
  readonly parts: readonly Part[];
  readonly status: Status | null;
  readonly metrics: Metrics | null;
  readonly quarantine: Quarantine | null;
}

/** What is wrong, the gravest first. Nothing, when all is well. */
export function findings({ answers, parts, status, metrics, quarantine }: Known, now: number): Finding[] {
  if (!answers) return [{ kind: "silent" }];
  const found: Finding[] = parts
    .filter(({ up }) => !up)
    .map(({ name, reason }) => ({ kind: name === "mqtt" ? "broker" : name === "store" ? "store" : "part", name, reason }));
  const accounts = status?.accounts ?? [];
  for (const account of accounts) {
    const missing = difference(account);
    if (missing !== 0) found.push({ kind: "sum", source: account.source, difference: missing });
  }
  const all = sum(accounts);
  if (all.waiting >= MUCH_WAITING) found.push({ kind: "waiting", count: all.waiting });
  if (all.dropped > 0) found.push({ kind: "dropped", count: all.dropped });
  const slow = metrics ? total(metrics, "bridge_clients_slow") : 0;
  if (slow > 0) found.push({ kind: "slow", count: slow });
  const recent = quarantine?.groups.filter(({ newest }) => newest !== null && now - newest < RECENT_MS) ?? [];
  const newest = [...recent].sort((a, b) => (b.newest ?? 0) - (a.newest ?? 0))[0];
  if (newest) found.push({ kind: "rejected", reason: newest.reason });
  return found;
}

export function gravity(finding: Finding): Severity {
  if (["silent", "broker", "store", "part", "sum"].includes(finding.kind)) return "alarm";
  return finding.kind === "rejected" ? "notice" : "warning";
}
