import type { JSX } from "preact";

import { t } from "../../i18n";
import { LanguageChoice } from "./language-select";

/** What this is not, where else to look, and the language. */
export function Foot(): JSX.Element {
  return (
    <footer class="foot">
      <p>{t("app.disclaimer")}</p>
      <ul aria-label={t("foot.label")}>
        <li><a href="test">{t("foot.test")}</a></li>
        <li><a href="examples/">{t("foot.examples")}</a></li>
        <li><a href="api/docs">{t("foot.docs")}</a></li>
      </ul>
      <LanguageChoice />
    </footer>
  );
}
