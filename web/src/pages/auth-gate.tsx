import type { ComponentType, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { AuthSession } from "../auth/session";
import { lazy } from "../components/lazy";
import { t } from "../i18n";

const LoginPage = lazy(async () => (await import("./login")).LoginPage);

/** Shows the page to authenticated users, and the login page to others. */
export function AuthGate({ session, page: Page }: { session: AuthSession; page: ComponentType }): JSX.Element | null {
  const state = session.state.value;
  const previous = useRef(state.kind);
  useEffect(() => {
    const hasLoggedIn = state.kind === "loggedIn" && (previous.current === "loggedOut" || previous.current === "setup");
    if (hasLoggedIn) document.querySelector("main")?.focus();
    previous.current = state.kind;
  }, [state.kind]);
  switch (state.kind) {
    case "checking":
      return null;
    case "unavailable":
      return <main class="waiting"><p role="status">{t("connection.pending")}</p></main>;
    case "loggedOut":
    case "setup":
      return <LoginPage session={session} state={state} />;
    case "open":
    case "loggedIn":
      return <Page />;
  }
}
