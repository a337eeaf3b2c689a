import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { CreatedKey } from "../../api/admin-client";
import { t } from "../../i18n";
import { copyText } from "../clipboard";
import { Dialog } from "../dialog";
import { Icon } from "../icon";

/** A new key, shown once. */
export function SecretDialog({ created: { key, secret }, onClose }: { readonly created: CreatedKey; readonly onClose: () => void }): JSX.Element {
  const said = useSignal("");
  const copy = async (): Promise<void> => {
    said.value = t((await copyText(secret)) ? "tester.copied" : "feed.copyFailed");
  };
  return (
    <Dialog title={t("keys.created", { name: key.name })} onClose={onClose}>
      <div class="secret">
        <p>{t("keys.created.once")}</p>
        <code tabIndex={0} aria-label={t("keys.key")}>{secret}</code>
        <button type="button" autoFocus onClick={() => void copy()}><Icon name="copy" />{t("tester.copy")}</button>
        <p class="small" role="status">{said.value}</p>
      </div>
      <div class="buttons"><button type="button" class="primary" onClick={onClose}>{t("keys.created.done")}</button></div>
    </Dialog>
  );
}
