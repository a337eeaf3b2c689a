import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { AuthSession } from "../../auth/session";
import { t } from "../../i18n";
import { NewPassword } from "../admin/new-password";
import { Dialog, FormDialog } from "../dialog";

/** Changes the user's own password. */
export function PasswordDialog({ session, onClose }: { readonly session: AuthSession; readonly onClose: () => void }): JSX.Element {
  const isDone = useSignal(false);
  const change = async (form: FormData): Promise<void> => {
    await session.changePassword(String(form.get("current")), String(form.get("new")));
    isDone.value = true;
  };
  if (isDone.value) {
    return (
      <Dialog key="done" title={t("password.changed")} onClose={onClose}>
        <p>{t("password.changed.more")}</p>
        <div class="buttons"><button type="button" class="primary" autoFocus onClick={onClose}>{t("dialog.close")}</button></div>
      </Dialog>
    );
  }
  return (
    <FormDialog key="form" title={t("password.change")} action={t("password.change.submit")} onSubmit={change} onClose={onClose}>
      <input type="text" name="username" readOnly hidden value={session.userName ?? ""} autoComplete="username" />
      <NewPassword label={t("password.current")} name="current" isCurrent hasInitialFocus />
      <NewPassword label={t("password.new")} name="new" />
      <p class="hint">{t("password.hint")}</p>
    </FormDialog>
  );
}
