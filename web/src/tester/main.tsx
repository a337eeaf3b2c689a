import type { JSX } from "preact";
import { render } from "preact";
import { useMemo } from "preact/hooks";

import { AuthSession } from "../auth/session";
import { loadPreferredLanguage } from "../components/layout/language-select";
import { AuthGate } from "../pages/auth-gate";
import { TesterPage } from "./page";
import { Tester } from "./tester";
import "../style/tokens.css";
import "../style/base.css";
import "../style/shell.css";

const base = new URL(".", location.href.replace(/[?#].*$/, ""));
const session = new AuthSession(base);
void session.start();

function TestPage(): JSX.Element {
  const tester = useMemo(() => new Tester(base, session), []);
  return <TesterPage tester={tester} />;
}

await loadPreferredLanguage();
render(<AuthGate session={session} page={TestPage} />, document.body);
