import type { JSX } from "preact";

import { t } from "../../i18n";
import { LanguageSelect } from "./language-select";

export function Footer(): JSX.Element {
  return (
    <footer class="footer">
      <p>{t("app.disclaimer")}</p>
      <ul aria-label={t("footer.label")}>
        <li><a href="./?wall">{t("footer.wall")}</a></li>
        <li><a href="test">{t("footer.tester")}</a></li>
        <li><a href="examples/">{t("footer.examples")}</a></li>
        <li><a href="api/docs">{t("footer.docs")}</a></li>
      </ul>
      <LanguageSelect />
    </footer>
  );
}
