import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import type { AuthSession } from "../auth/session";
import { Icon } from "../components/icon";
import { AccountMenu } from "../components/layout/account-menu";
import { Footer } from "../components/layout/footer";
import { Logo } from "../components/layout/logo";
import { ThemeToggle } from "../components/theme";
import { t } from "../i18n";
import type { Description } from "../model/reference/description";
import { parseDescription, searchOperations } from "../model/reference/description";
import { OperationItem } from "./operation";
import "../style/reference.css";

const TIMEOUT_MS = 20_000;

interface ReferencePageProps {
  readonly base: URL;
  readonly session: AuthSession;
}

/** The HTTP API, with a form for each route that sends a request with the rights of the session. */
export function ReferencePage({ base, session }: ReferencePageProps): JSX.Element {
  const description = useSignal<Description | "loading" | "failed">("loading");
  const attempt = useSignal(0);
  useEffect(() => {
    description.value = "loading";
    load(base).then(
      (loaded) => (description.value = loaded),
      () => (description.value = "failed"),
    );
  }, [attempt.value]);
  const title = `${t("reference.title")} · ${t("app.name")}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  const shown = description.value;
  return (
    <>
      <a class="skip" href="#main">{t("app.skip")}</a>
      <header class="bar">
        <a class="brand" href="../"><Logo /><span>{t("app.name")}</span></a>
        <div class="tools"><ThemeToggle /><AccountMenu session={session} /></div>
      </header>
      <main id="main" class="reference" tabIndex={-1}>
        <header>
          <a class="back" href="../"><Icon name="back" />{t("app.back")}</a>
          <h1>{t("reference.title")}</h1>
          <p class="muted">{t("reference.intro")} <a href="openapi.json">openapi.json</a></p>
          <Rights session={session} />
        </header>
        {shown === "loading" && <p class="waiting">{t("app.loading")}</p>}
        {shown === "failed" && (
          <div class="waiting">
            <p>{t("finding.unreachable")}</p>
            <button type="button" onClick={() => attempt.value++}>{t("app.retry")}</button>
          </div>
        )}
        {typeof shown === "object" && <Sections base={base} session={session} description={shown} />}
      </main>
      <Footer root="../" />
    </>
  );
}

async function load(base: URL): Promise<Description> {
  const response = await fetch(new URL("api/openapi.json", base), { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${response.status}`);
  return parseDescription(await response.json());
}

/** With which rights requests are sent. */
function Rights({ session }: { readonly session: AuthSession }): JSX.Element | null {
  const state = session.state.value;
  switch (state.kind) {
    case "open":
      return <p class="rights" role="status"><Icon name="check" /><span>{t("reference.rights.open")}</span></p>;
    case "loggedIn":
      return <p class="rights" role="status"><Icon name="person" /><span>{t("reference.rights.loggedIn", { name: state.identity.name })}</span></p>;
    case "loggedOut":
    case "setup":
      return <p class="rights" role="status" data-state="loggedOut"><Icon name="warning" /><span>{t("reference.rights.loggedOut")} <a href="../">{t("auth.login")}</a></span></p>;
    default:
      return null;
  }
}

interface SectionsProps extends ReferencePageProps {
  readonly description: Description;
}

function Sections({ base, session, description }: SectionsProps): JSX.Element {
  const searched = useSignal("");
  const sections = searchOperations(description.sections, searched.value);
  useEffect(openFromAddress, []);
  return (
    <div class="reference-body">
      <div class="side">
        <label class="search">
          <Icon name="search" />
          <span class="visually-hidden">{t("reference.search")}</span>
          <input type="search" placeholder={t("reference.search")} value={searched.value} onInput={(event) => (searched.value = event.currentTarget.value)} />
        </label>
        <nav aria-label={t("reference.title")}>
          {sections.map(({ name, operations }) => <a key={name} href={`#${name}`}><span>{name}</span> <span class="number">{operations.length}</span></a>)}
        </nav>
      </div>
      <div class="routes">
        {sections.length === 0 && <p class="waiting">{t("reference.none")}</p>}
        {sections.map(({ name, operations }) => (
          <section key={name} aria-labelledby={name}>
            <h2 id={name}>{name}</h2>
            {operations.map((one) => <OperationItem key={one.id} operation={one} schemas={description.schemas} base={base} session={session} />)}
          </section>
        ))}
      </div>
    </div>
  );
}

/** Opens the route that the address names, such as `#get_health`. */
function openFromAddress(): () => void {
  const open = (): void => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
    target?.scrollIntoView();
  };
  if (location.hash) open();
  addEventListener("hashchange", open);
  return () => removeEventListener("hashchange", open);
}
