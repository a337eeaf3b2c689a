import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { ApiError } from "../../api/client";
import { useApp } from "../../app/context";
import { t } from "../../i18n";
import { errorText } from "../error-text";

const INTERVAL_MS = 60_000;
const HAS_MISTAKES = 422;

/** Says that the rules file has mistakes, and reads it again for those who may. */
export function RulesFileNotice(): JSX.Element | null {
  const { api, session, sync } = useApp();
  const mistakes = useSignal("");
  const failure = useSignal("");
  const isBusy = useSignal(false);

  const load = async (): Promise<void> => {
    mistakes.value = await api.rulesFileError();
  };
  useEffect(() => {
    const tryLoad = (): void => void load().catch(() => undefined);
    tryLoad();
    const timer = setInterval(tryLoad, INTERVAL_MS);
    return () => clearInterval(timer);
  }, [api]);

  const reload = async (): Promise<void> => {
    isBusy.value = true;
    failure.value = "";
    try {
      await api.reloadRules().catch((error: unknown) => {
        if (!(error instanceof ApiError && error.status === HAS_MISTAKES)) throw error;
      });
      await load();
      sync.refreshAlarms();
    } catch (error) {
      failure.value = errorText(error);
    } finally {
      isBusy.value = false;
    }
  };

  if (mistakes.value === "") return null;
  return (
    <section class="notice rules-file">
      <p role="status">{t("alarms.rulesFile")}</p>
      <pre tabIndex={0}>{mistakes.value}</pre>
      {session.can("manage") && session.seesAllDevices && (
        <button type="button" disabled={isBusy.value} onClick={() => void reload()}>{t("alarms.rulesFile.reload")}</button>
      )}
      {failure.value !== "" && <p class="error" role="alert">{failure.value}</p>}
    </section>
  );
}
