import type { ComponentChildren, JSX } from "preact";

import { t } from "../../i18n";
import { LanguageSelect } from "./language-select";

/** `children` come before the language. */
export function Footer({ children }: { children?: ComponentChildren }): JSX.Element {
  return (
    <footer class="footer">
      <p>{t("app.disclaimer")}</p>
      <ul aria-label={t("footer.label")}>
        <li><a href="test">{t("footer.tester")}</a></li>
        <li><a href="examples/">{t("footer.examples")}</a></li>
        <li><a href="api/docs">{t("footer.docs")}</a></li>
      </ul>
      <div class="preferences">
        {children}
        <LanguageSelect />
      </div>
    </footer>
  );
}
