import type { JSX } from "preact";
import { render } from "preact";
import { useMemo } from "preact/hooks";

import { Access } from "../auth/session";
import { Gate } from "../pages/auth-gate";
import { speakAsChosen } from "../components/layout/language-select";
import { Trial } from "./tester";
import { TrialView } from "./page";
import "../style/tokens.css";
import "../style/base.css";
import "../style/shell.css";

const base = new URL(".", location.href.replace(/[?#].*$/, ""));
const access = new Access(base);
void access.begin();

function TestPage(): JSX.Element {
  const trial = useMemo(() => new Trial(base, access), []);
  return <TrialView trial={trial} />;
}

await speakAsChosen();
render(<Gate access={access} page={TestPage} />, document.body);
