import type { JSX } from "preact";

import type { Language } from "../../i18n";
import { LANGUAGES, asLanguage, speak, spoken, t } from "../../i18n";
import { remember, remembered } from "../preferences";

const KEY = "sensor-bridge.language";

/** In the language that was chosen here, else the first of the browser's that there is; in English where its texts do not come. */
export async function speakAsChosen(): Promise<void> {
  const wanted = [remembered(KEY) ?? "", ...navigator.languages].map(asLanguage).find((one) => one !== null) ?? "en";
  await change(wanted).catch(() => undefined);
}

async function change(code: Language): Promise<void> {
  await speak(code);
  document.documentElement.lang = code;
}

export function LanguageChoice(): JSX.Element {
  const choose = (tag: string): void => {
    const code = asLanguage(tag);
    if (code === null) return;
    remember(KEY, code);
    void change(code).catch(() => undefined);
  };
  return (
    <label class="language">
      <span>{t("language.label")}</span>
      <select value={spoken()} onChange={(event) => choose(event.currentTarget.value)}>
        {Object.entries(LANGUAGES).map(([code, name]) => <option key={code} value={code} lang={code}>{name}</option>)}
      </select>
    </label>
  );
}
