import type { ComponentType, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { AuthSession } from "../auth/session";
import { lazy } from "../components/lazy";
import { t } from "../i18n";

const LoginPage = lazy(async () => (await import("./login")).LoginPage);

function LinkEnded({ hasExpired }: { hasExpired: boolean }): JSX.Element {
  const logIn = (): void => location.replace(location.pathname + location.search); // without a fragment, so it loads
  return (
    <main class="waiting">
      <h1>{t("shared.ended")}</h1>
      <p>{t(hasExpired ? "shared.ended.expired" : "shared.ended.invalid")}</p>
      <button type="button" onClick={logIn}>{t("shared.ended.login")}</button>
    </main>
  );
}

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
    case "linkEnded":
      return <LinkEnded hasExpired={state.hasExpired} />;
    case "open":
    case "shared":
    case "loggedIn":
      return <Page />;
  }
}
