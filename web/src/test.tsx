import type { JSX } from "preact";
import { render } from "preact";
import { useMemo } from "preact/hooks";

import { Access } from "./access";
import { Gate } from "./parts/gate";
import { speakAsChosen } from "./parts/language";
import { Trial } from "./trial";
import { TrialView } from "./views/trial";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";

const base = new URL(".", location.href.replace(/[?#].*$/, ""));
const access = new Access(base);
void access.begin();

function TestPage(): JSX.Element {
  const trial = useMemo(() => new Trial(base, access), []);
  return <TrialView trial={trial} />;
}

await speakAsChosen();
render(<Gate access={access} page={TestPage} />, document.body);
