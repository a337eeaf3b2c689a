import type { JSX } from "preact";
import { render } from "preact";
import { useMemo } from "preact/hooks";

import { startApp } from "./app/app";
import { AppContext } from "./app/context";
import { AuthSession } from "./auth/session";
import { loadPreferredLanguage } from "./components/layout/language-select";
import { loadPreferredUnits } from "./components/layout/units-menu";
import { lazy } from "./components/lazy";
import { setWallTheme } from "./components/theme";
import { parseWallOptions } from "./model/wall/options";
import { AuthGate } from "./pages/auth-gate";
import { Shell } from "./pages/shell";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/overview.css";
import "./style/print.css";

const WallPage = lazy(async () => (await import("./pages/wall")).WallPage);

const base = new URL(".", location.href.replace(/[?#].*$/, ""));
const session = new AuthSession(base);
void session.start();
const wall = parseWallOptions(location.search);
if (wall !== null) setWallTheme(wall.theme);

function Dashboard(): JSX.Element {
  const app = useMemo(() => startApp(base, session), []);
  return (
    <AppContext.Provider value={app}>
      {wall === null ? <Shell /> : <WallPage base={base} options={wall} />}
    </AppContext.Provider>
  );
}

loadPreferredUnits();
await loadPreferredLanguage();
render(<AuthGate session={session} page={Dashboard} />, document.body);

/** Shows the offline page when the bridge is unreachable; caches nothing of the dashboard. */
if (import.meta.env.PROD && "serviceWorker" in navigator) void navigator.serviceWorker.register("sw.js").catch(() => undefined);
