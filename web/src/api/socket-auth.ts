/** Authentication of Socket.IO connections. */

import { field, number } from "../model/json";

const UNAUTHORIZED = 4401;

/**
 * The `auth` option of a Socket.IO client: the token, if there is one. The cookie alone is not enough, because not every browser
 * sends the origin with a WebSocket handshake.
 */
export function socketAuth(token: () => string | null): (send: (auth: object) => void) => void {
  return (send) => {
    const current = token();
    send(current === null ? {} : { token: current });
  };
}

/** Whether a `connect_error` means missing or invalid credentials. */
export function isUnauthorizedError(error: unknown): boolean {
  return number(field(field(error, "data"), "code")) === UNAUTHORIZED;
}

/** Whether a `disconnect` means that the credentials expired. Long-polling has no close code: there only the next connect tells. */
export function isUnauthorizedClose(details: unknown): boolean {
  const event = field(details, "context");
  return event instanceof CloseEvent && event.code === UNAUTHORIZED;
}
