import { render } from "preact";

import { speakAsChosen } from "./parts/language";
import { Trial } from "./trial";
import { TrialView } from "./views/trial";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";

const trial = new Trial(new URL(".", location.href.replace(/[?#].*$/, "")));

await speakAsChosen();
render(<TrialView trial={trial} />, document.body);
trial.open("any");
