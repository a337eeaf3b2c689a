import type { JSX } from "preact";

import type { Language } from "../../i18n";
import { LANGUAGES, asLanguage, currentLanguage, setLanguage, t } from "../../i18n";
import { loadPreference, savePreference } from "../../app/preferences";

const KEY = "sensor-bridge.language";

/** The saved language, else the browser's first supported one. Falls back to English when the texts cannot be loaded. */
export async function loadPreferredLanguage(): Promise<void> {
  const candidates = [loadPreference(KEY) ?? "", ...navigator.languages].map(asLanguage);
  await change(candidates.find((one) => one !== null) ?? "en").catch(() => undefined);
}

async function change(code: Language): Promise<void> {
  await setLanguage(code);
  document.documentElement.lang = code;
}

export function LanguageSelect(): JSX.Element {
  const select = (tag: string): void => {
    const code = asLanguage(tag);
    if (code === null) return;
    savePreference(KEY, code);
    void change(code).catch(() => undefined);
  };
  return (
    <label class="language">
      <span>{t("language.label")}</span>
      <select value={currentLanguage()} onChange={(event) => select(event.currentTarget.value)}>
        {Object.entries(LANGUAGES).map(([code, name]) => <option key={code} value={code} lang={code}>{name}</option>)}
      </select>
    </label>
  );
}
