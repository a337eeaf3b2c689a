import type { ComponentType, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Access } from "../auth/session";
import { t } from "../i18n";
import { lazy } from "../components/lazy";

const Login = lazy(async () => (await import("./login")).Login);

/** The page, for those who may see it; before it, for the others, a way to log in. */
export function Gate({ access, page: Page }: { access: Access; page: ComponentType }): JSX.Element | null {
  const door = access.door.value;
  const cameBy = useRef(door.kind);
  useEffect(() => {
    if (door.kind === "in" && (cameBy.current === "out" || cameBy.current === "setup")) document.querySelector("main")?.focus();
    cameBy.current = door.kind;
  }, [door.kind]);
  switch (door.kind) {
    case "asking":
      return null;
    case "silent":
      return <main class="waiting"><p role="status">{t("link.notYet")}</p></main>;
    case "out":
    case "setup":
      return <Login access={access} door={door} />;
    case "open":
    case "in":
      return <Page />;
  }
}
