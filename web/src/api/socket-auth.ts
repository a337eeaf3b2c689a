/** What Socket.IO connections show and are told of who we are. */

import { field, number } from "../model/wire";

const UNAUTHORIZED = 4401;

/** For `auth`: the token where there is one. A browser sends its cookie by itself, but not every browser tells whose page asks. */
export function proof(token: () => string | null): (give: (shown: object) => void) => void {
  return (give) => {
    const shown = token();
    give(shown === null ? {} : { token: shown });
  };
}

/** Whether a `connect_error` came because the bridge does not know us. */
export function isUnknown(error: unknown): boolean {
  return number(field(field(error, "data"), "code")) === UNAUTHORIZED;
}

/** Whether a `disconnect` came because it does not know us any more. By long-polling only the next connect tells. */
export function isOver(details: unknown): boolean {
  const closed = field(details, "context");
  return closed instanceof CloseEvent && closed.code === UNAUTHORIZED;
}
