import { render } from "preact";

import { App } from "./app";
import { AppContext } from "./parts/context";
import { speakAsChosen } from "./parts/language";
import { Shell } from "./views/shell";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/overview.css";

const app = new App(new URL(".", location.href.replace(/[?#].*$/, "")));

await speakAsChosen();
render(
  <AppContext.Provider value={app}>
    <Shell />
  </AppContext.Provider>,
  document.body,
);

/** Says honestly that the bridge is away; it keeps nothing of the page. */
if (import.meta.env.PROD && "serviceWorker" in navigator) void navigator.serviceWorker.register("sw.js").catch(() => undefined);
