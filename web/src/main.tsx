import type { JSX } from "preact";
import { render } from "preact";
import { useMemo } from "preact/hooks";

import { Access } from "./auth/session";
import { App } from "./app/app";
import { AppContext } from "./app/context";
import { Gate } from "./pages/auth-gate";
import { speakAsChosen } from "./components/layout/language-select";
import { Shell } from "./pages/shell";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/overview.css";

const base = new URL(".", location.href.replace(/[?#].*$/, ""));
const access = new Access(base);
void access.begin();

function Dashboard(): JSX.Element {
  const app = useMemo(() => new App(base, access), []);
  return (
    <AppContext.Provider value={app}>
      <Shell />
    </AppContext.Provider>
  );
}

await speakAsChosen();
render(<Gate access={access} page={Dashboard} />, document.body);

/** Says honestly that the bridge is away; it keeps nothing of the page. */
if (import.meta.env.PROD && "serviceWorker" in navigator) void navigator.serviceWorker.register("sw.js").catch(() => undefined);
