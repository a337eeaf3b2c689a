import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { roleOf } from "../../auth/identity";
import type { AuthSession } from "../../auth/session";
import { t } from "../../i18n";
import { Icon } from "../icon";
import { lazy } from "../lazy";
import { closeFromOutside } from "./popover";

const PasswordDialog = lazy(async () => (await import("./password-dialog")).PasswordDialog);

/** The user's name, role, password and logout. Empty without authentication. */
export function AccountMenu({ session }: { session: AuthSession }): JSX.Element | null {
  const details = useRef<HTMLDetailsElement>(null);
  const hasFailed = useSignal(false);
  const isChanging = useSignal(false);
  useEffect(() => closeFromOutside(details), []);
  const state = session.state.value;
  if (state.kind !== "loggedIn") return null;
  const { name, restricted } = state.identity;
  const role = t(`auth.role.${roleOf(state.identity)}`);
  const logout = async (): Promise<void> => {
    hasFailed.value = false;
    await session.logout().catch(() => (hasFailed.value = true));
  };
  return (
    <details class="popover account" ref={details}>
      <summary title={t("auth.account", { name, role })}>
        <Icon name="person" />
        <span class="visually-hidden">{t("auth.account", { name, role })}</span>
        <span class="name" aria-hidden="true">{name}</span>
      </summary>
      <div class="menu">
        <p><strong>{name}</strong> <span class="muted">{role}</span></p>
        {restricted && <p class="muted small">{t("auth.restricted")}</p>}
        <button type="button" onClick={() => (isChanging.value = true)}>{t("password.change")}</button>
        <button type="button" onClick={() => void logout()}>{t("auth.logout")}</button>
        {hasFailed.value && <p class="error small" role="alert">{t("finding.unreachable")}</p>}
      </div>
      {isChanging.value && <PasswordDialog session={session} onClose={() => (isChanging.value = false)} />}
    </details>
  );
}
