import { ApiClient } from "../api/client";
import type { AuthSession } from "../auth/session";
import { AlarmSound } from "./alarm-sound";
import { BrowserPush } from "./browser-push";
import { showOutcome } from "./command-outcome";
import { OnScreenHistory } from "./on-screen-history";
import { Painter } from "./paint";
import { Store } from "./store";
import { Sync } from "./sync";

/** The components of the dashboard, as pages and components receive them. */
export interface App {
  readonly api: ApiClient;
  readonly session: AuthSession;
  readonly store: Store;
  readonly sync: Sync;
  readonly sound: AlarmSound;
  readonly push: BrowserPush;
  readonly history: OnScreenHistory;
}

export function startApp(base: URL, session: AuthSession): App {
  const store = new Store();
  const painter = new Painter(store);
  const api = new ApiClient(base, (bridgeNow) => store.clock.observe(bridgeNow, Date.now()), () => session.reauthenticate(), () => session.bearer);
  const history = new OnScreenHistory(store, painter, api);
  const sync = new Sync(base, store, painter, api, session);
  sync.start();
  void showOutcome(store, api);
  const push = new BrowserPush(api, () => session.userName);
  if (push.isWanted) void push.refresh();
  session.onLogout = () => push.forget();
  return { api, session, store, sync, sound: new AlarmSound(store), push, history };
}
