import type { ComponentChildren, JSX } from "preact";

import { t } from "../../i18n";
import { LanguageSelect } from "./language-select";

interface FooterProps {
  /** Leads from the page to the bridge's root. */
  readonly root?: string;
  /** Come before the language. */
  readonly children?: ComponentChildren;
}

export function Footer({ root = "./", children }: FooterProps): JSX.Element {
  return (
    <footer class="footer">
      <p>{t("app.disclaimer")}</p>
      <ul aria-label={t("footer.label")}>
        <li><a href={`${root}?wall`}>{t("footer.wall")}</a></li>
        <li><a href={`${root}test`}>{t("footer.tester")}</a></li>
        <li><a href={`${root}examples/`}>{t("footer.examples")}</a></li>
        <li><a href={`${root}api/docs`}>{t("footer.docs")}</a></li>
      </ul>
      <div class="preferences">
        {children}
        <LanguageSelect />
      </div>
    </footer>
  );
}
