/** The page's connection to the bridge, and what the page says of it in a few words. */

import type { DataFlow } from "./data-flow";
import type { ComponentStatus, Finding } from "./health";
import { failures } from "./health";

export type Transport = "websocket" | "long-polling" | "http";

export interface Connection {
  readonly open: boolean;
  /** Null while closed. */
  readonly transport: Transport | null;
  readonly wasOpen: boolean;
  /** Missed readings are being replayed. */
  readonly catchingUp: boolean;
  readonly delayMs: number;
  /** When the connection was lost, by the bridge's clock; null while open. */
  readonly lostAt: number | null;
}

export type ConnectionState = "connecting" | "connected" | "delayed" | "polling" | "reconnecting";

/** The data comes first: an open connection over which none arrives is nothing to be calm about. */
export type LinkStatus = { readonly kind: ConnectionState | "none" } | { readonly kind: "quiet" | "silent"; readonly since: number };

export const DELAY_LIMIT_MS = 3000;
/** A shorter interruption is not worth a banner. */
export const INTERRUPTION_LIMIT_MS = 2000;

export const NOT_CONNECTED: Connection = { open: false, transport: null, wasOpen: false, catchingUp: false, delayMs: 0, lostAt: null };

export function connectionState(connection: Connection): ConnectionState {
  if (!connection.open) return connection.wasOpen ? "reconnecting" : "connecting";
  if (connection.catchingUp || connection.delayMs > DELAY_LIMIT_MS) return "delayed";
  return connection.transport === "websocket" ? "connected" : "polling";
}

export function linkStatus(connection: Connection, flow: DataFlow): LinkStatus {
  const kind = connectionState(connection);
  return !connection.open || connection.catchingUp || flow.kind === "flowing" ? { kind } : flow;
}

/** What is wrong with the bridge, for every page. Nothing else is known while the bridge is unreachable. */
export function troublesOf(connection: Connection, failing: readonly ComponentStatus[], flow: DataFlow, now: number): Finding[] {
  const { open, wasOpen, lostAt, catchingUp } = connection;
  if (open) return failures(failing, catchingUp ? { kind: "flowing" } : flow);
  const isShort = lostAt !== null && now - lostAt < INTERRUPTION_LIMIT_MS;
  return wasOpen && !isShort ? [{ kind: "unreachable", since: lostAt }] : [];
}
