import { render } from "preact";

import { AuthSession } from "../auth/session";
import { loadPreferredLanguage } from "../components/layout/language-select";
import { ReferencePage } from "./page";
import "../style/tokens.css";
import "../style/base.css";
import "../style/shell.css";

/** The page is one level below the bridge's root. */
const base = new URL("..", location.href.replace(/[?#].*$/, ""));
const session = new AuthSession(base);
void session.start();

await loadPreferredLanguage();
render(<ReferencePage base={base} session={session} />, document.body);
