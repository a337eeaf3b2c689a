import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";

import { PASSWORD_LENGTH } from "../../auth/identity";
import { t } from "../../i18n";

interface Props {
  readonly label: string;
  readonly name?: string;
  /** For the user's old password, which may be of any length. */
  readonly isCurrent?: boolean;
  readonly hasInitialFocus?: boolean;
}

/** A password that is typed once and may be looked at. */
export function NewPassword({ label, name = "password", isCurrent = false, hasInitialFocus = false }: Props): JSX.Element {
  const isShown = useSignal(false);
  const hint = useId();
  const type = isShown.value ? "text" : "password";
  return (
    <>
      <label>
        <span>{label}</span>
        <input name={name} type={type as "password" /* Preact's types allow no union here */} required autoFocus={hasInitialFocus}
          minLength={isCurrent ? 1 : PASSWORD_LENGTH.min} maxLength={PASSWORD_LENGTH.max}
          autoComplete={isCurrent ? "current-password" : "new-password"} autoCapitalize="none" spellcheck={false}
          aria-describedby={isCurrent ? undefined : hint} />
      </label>
      {!isCurrent && <p class="hint" id={hint}>{t("auth.password.hint", PASSWORD_LENGTH)}</p>}
      <label class="check">
        <input type="checkbox" checked={isShown.value} onChange={(event) => (isShown.value = event.currentTarget.checked)} />
        <span>{isCurrent ? t("auth.password.show.current") : t("auth.password.show")}</span>
      </label>
    </>
  );
}
