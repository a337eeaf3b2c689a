/** The page's connection to the bridge, and the one-word state that the page shows. */

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

export const DELAY_LIMIT_MS = 3000;

export const NOT_CONNECTED: Connection = { open: false, transport: null, wasOpen: false, catchingUp: false, delayMs: 0, lostAt: null };

export function connectionState(connection: Connection): ConnectionState {
  if (!connection.open) return connection.wasOpen ? "reconnecting" : "connecting";
  if (connection.catchingUp || connection.delayMs > DELAY_LIMIT_MS) return "delayed";
  return connection.transport === "websocket" ? "connected" : "polling";
}
