/** The bridge's health endpoints, and the findings for its operator. */

import type { DeviceIgnoredKeys } from "../devices/device-detail";
import type { Severity } from "../devices/issues";
import { field, list, number, text, time } from "../json";
import type { Cause } from "../reason";
import { causeIn } from "../reason";
import type { DataFlow } from "./data-flow";
import type { Metrics } from "./metrics";
import { total } from "./metrics";

export interface LedgerLine {
  readonly source: string;
  readonly received: number;
  readonly stored: number;
  readonly duplicate: number;
  readonly rejected: number;
  readonly ignored: number;
  readonly dropped: number;
  readonly waiting: number;
  /** Readings stored, beside the messages: one message may carry any number of them. */
  readonly readings: number;
}

export const OUTCOMES = ["stored", "duplicate", "rejected", "ignored", "dropped", "waiting"] as const;

export interface ComponentStatus {
  readonly name: string;
  readonly up: boolean;
  readonly reason: string;
  /** When it failed; null while it is up. */
  readonly since: number | null;
  readonly cause?: Cause;
}

export interface Status {
  readonly clients: number | null;
  readonly ledger: readonly LedgerLine[];
}

export interface RejectedGroup {
  readonly code: string;
  readonly field: string;
  readonly reason: string;
  readonly cause?: Cause;
  readonly count: number;
  readonly newest: number | null;
}

export interface RejectedMessage {
  readonly id: string;
  readonly receivedAt: number | null;
  readonly source: string;
  readonly topic: string;
  readonly reason: string;
  readonly cause?: Cause;
  readonly payload: string;
  /** The payload is not text; it is given in base64. */
  readonly binary: boolean;
}

export interface Quarantine {
  readonly groups: readonly RejectedGroup[];
  readonly messages: readonly RejectedMessage[];
}

export type Finding =
  | { readonly kind: "unreachable"; readonly since: number | null }
  | { readonly kind: "broker" | "store" | "component"; readonly name: string; readonly reason: string; readonly cause?: Cause; readonly since: number | null }
  | { readonly kind: "noData"; readonly since: number }
  | { readonly kind: "ledger"; readonly source: string; readonly difference: number }
  | { readonly kind: "waiting" | "dropped"; readonly count: number }
  | { readonly kind: "slow"; readonly count: number }
  | { readonly kind: "rejected"; readonly reason: string; readonly cause?: Cause };

export const MANY_WAITING = 1000;
export const RECENT_REJECTION_MS = 3_600_000;
const MAX_PAYLOAD_LENGTH = 64 * 1024;

export function parseStatus(body: unknown): Status {
  const ledger = field(body, "ledger");
  const lines = typeof ledger === "object" && ledger !== null ? Object.entries(ledger) : [];
  return { clients: number(field(body, "connectedClients")), ledger: lines.map(([source, line]) => parseLine(text(source), line)) };
}

function parseLine(source: string, line: unknown): LedgerLine {
  const of = (name: string): number => number(field(line, name)) ?? 0;
  return {
    source,
    received: of("received"),
    stored: of("stored"),
    duplicate: of("duplicate"),
    rejected: of("rejected"),
    ignored: of("ignored"),
    dropped: of("dropped"),
    waiting: of("waiting"),
    readings: of("readings"),
  };
}

export function parseComponents(body: unknown): ComponentStatus[] {
  const components = field(body, "parts");
  if (typeof components !== "object" || components === null) return [];
  return Object.entries(components).map(([name, component]) => ({
    name: text(name),
    up: field(component, "status") === "ok",
    reason: text(field(component, "reason"), 1000),
    since: time(field(component, "since")),
    ...causeIn(component),
  }));
}

export function parseQuarantine(body: unknown): Quarantine {
  return {
    groups: list(field(body, "groups")).map((one) => ({
      code: text(field(one, "code")),
      field: text(field(one, "field")),
      reason: text(field(one, "reason"), 1000),
      ...causeIn(one),
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
        ...causeIn(one),
        payload: text(binary ? field(one, "payloadBase64") : payload, MAX_PAYLOAD_LENGTH),
        binary,
      };
    }),
  };
}

/** Received messages minus accounted ones. Must be 0. */
export function difference(line: LedgerLine): number {
  return line.received - OUTCOMES.reduce((sum, name) => sum + line[name], 0);
}

export function totalOf(ledger: readonly LedgerLine[]): LedgerLine {
  const of = (name: Exclude<keyof LedgerLine, "source">): number => ledger.reduce((all, one) => all + one[name], 0);
  return {
    source: "",
    received: of("received"),
    stored: of("stored"),
    duplicate: of("duplicate"),
    rejected: of("rejected"),
    ignored: of("ignored"),
    dropped: of("dropped"),
    waiting: of("waiting"),
    readings: of("readings"),
  };
}

/** Messages received per second and source, from successive statuses over the last ten seconds. */
export class Rates {
  #samples: { at: number; received: Map<string, number> }[] = [];

  add(ledger: readonly LedgerLine[], at: number): void {
    const received = new Map(ledger.map((one) => [one.source, one.received]));
    const last = this.#samples.at(-1);
    const restarted = [...received].some(([source, count]) => count < (last?.received.get(source) ?? 0));
    if (restarted) this.#samples = [];
    this.#samples = [...this.#samples.filter((one) => at - one.at <= 10_500), { at, received }];
  }

  /** Null until there are two samples. */
  of(source: string): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.at <= first.at) return null;
    const count = (last.received.get(source) ?? 0) - (first.received.get(source) ?? 0);
    return count / ((last.at - first.at) / 1000);
  }
}

/** The sources of the messages, sorted. */
export function sourcesOf(messages: readonly RejectedMessage[]): string[] {
  return [...new Set(messages.map(({ source }) => source))].sort();
}

export interface HealthSnapshot {
  readonly reachable: boolean;
  readonly components: readonly ComponentStatus[];
  readonly status: Status | null;
  readonly metrics: Metrics | null;
  readonly quarantine: Quarantine | null;
  readonly ignoredKeys: readonly DeviceIgnoredKeys[];
}

/** The components that fail; without a broker or a store that does, also that no data arrives, because that explains it. */
export function failures(components: readonly ComponentStatus[], flow: DataFlow): Finding[] {
  const found: Finding[] = components
    .filter(({ up }) => !up)
    .map(({ name, up: _, ...why }) => ({ kind: name === "mqtt" ? "broker" : name === "store" ? "store" : "component", name, ...why }));
  const isExplained = found.some(({ kind }) => kind === "broker" || kind === "store");
  if (flow.kind === "silent" && !isExplained) found.push({ kind: "noData", since: flow.since });
  return found;
}

/** Most severe first; empty for a healthy bridge. */
export function findings({ reachable, components, status, metrics, quarantine }: HealthSnapshot, flow: DataFlow, now: number): Finding[] {
  if (!reachable) return [{ kind: "unreachable", since: null }];
  const found = failures(components, flow);
  const ledger = status?.ledger ?? [];
  for (const line of ledger) {
    const missing = difference(line);
    if (missing !== 0) found.push({ kind: "ledger", source: line.source, difference: missing });
  }
  const all = totalOf(ledger);
  if (all.waiting >= MANY_WAITING) found.push({ kind: "waiting", count: all.waiting });
  if (all.dropped > 0) found.push({ kind: "dropped", count: all.dropped });
  const slow = metrics ? total(metrics, "bridge_clients_slow") : 0;
  if (slow > 0) found.push({ kind: "slow", count: slow });
  const recent = quarantine?.groups.filter(({ newest }) => newest !== null && now - newest < RECENT_REJECTION_MS) ?? [];
  const newest = [...recent].sort((a, b) => (b.newest ?? 0) - (a.newest ?? 0))[0];
  if (newest) found.push({ kind: "rejected", reason: newest.reason, ...(newest.cause ? { cause: newest.cause } : {}) });
  return found;
}

export function findingSeverity(finding: Finding): Severity {
  if (["unreachable", "broker", "store", "component", "ledger"].includes(finding.kind)) return "alarm";
  return finding.kind === "rejected" ? "notice" : "warning";
}
