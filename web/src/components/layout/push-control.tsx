import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { useApp } from "../../app/context";
import { t } from "../../i18n";
import type { PushFailure } from "../../model/push";
import { errorText } from "../error-text";
import { Icon } from "../icon";

/** Turns notifications of this browser on and off; absent where they are impossible, which `PushNote` explains. */
export function PushButton(): JSX.Element | null {
  const { push } = useApp();
  useEffect(() => void push.refresh(), [push]);
  const state = push.state.value;
  if (state !== "off" && state !== "on" && state !== "other-user" && state !== "unknown") return null;
  const press = (): Promise<void> => (state === "on" ? push.disable() : push.enable());
  return (
    <button type="button" class="push" data-state={state} disabled={push.isBusy.value} onClick={() => void press()}>
      <Icon name={state === "on" ? "alarmsOff" : "alarms"} />
      {t(`push.button.${state === "unknown" ? "off" : state}`)}
    </button>
  );
}

/** Says whether this browser is notified, or why not and what to do. */
export function PushNote(): JSX.Element {
  const { push } = useApp();
  const [state, failure] = [push.state.value, push.failure.value];
  return (
    <div class="push-note" role="status">
      {failure !== null && <p class="error small">{failureText(failure)}</p>}
      {state !== "off" && state !== "checking" && state !== "unknown" && (
        <p class="muted small">{t(`push.${state}`)} {state === "on" && t("app.disclaimer")}</p>
      )}
    </div>
  );
}

function failureText(failure: PushFailure): string {
  if (failure.kind === "dismissed") return t("push.failed.dismissed");
  return t(`push.failed.${failure.kind}`, { error: errorText(failure.error) });
}
