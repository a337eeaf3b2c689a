import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Access } from "../../auth/session";
import { t } from "../../i18n";
import { roleOf } from "../../auth/identity";
import { Icon } from "../icon";

/** Who is logged in, as what, and the way out. Nothing of it while access is open. */
export function Account({ access }: { access: Access }): JSX.Element | null {
  const details = useRef<HTMLDetailsElement>(null);
  const hasFailed = useSignal(false);
  useEffect(() => closedFromOutside(details), []);
  const door = access.door.value;
  if (door.kind !== "in") return null;
  const { name } = door.me;
  const role = t(`access.role.${roleOf(door.me)}`);
  const logout = async (): Promise<void> => {
    hasFailed.value = false;
    await access.logout().catch(() => (hasFailed.value = true));
  };
  return (
    <details class="account" ref={details}>
      <summary title={t("access.account", { name, role })}>
        <Icon name="person" />
        <span class="unseen">{t("access.account", { name, role })}</span>
        <span class="name" aria-hidden="true">{name}</span>
      </summary>
      <div class="menu">
        <p><strong>{name}</strong> <span class="quiet">{role}</span></p>
        {door.me.bounded && <p class="quiet small">{t("access.bounded")}</p>}
        <button type="button" onClick={() => void logout()}>{t("access.logout")}</button>
        {hasFailed.value && <p class="error small" role="alert">{t("finding.silent")}</p>}
      </div>
    </details>
  );
}

/** By Escape, and by going on elsewhere. */
function closedFromOutside(details: { readonly current: HTMLDetailsElement | null }): () => void {
  const left = ({ target }: Event): void => {
    const { current } = details;
    if (current?.open && target instanceof Node && !current.contains(target)) current.open = false;
  };
  const escaped = ({ key }: KeyboardEvent): void => {
    const { current } = details;
    if (key !== "Escape" || !current?.open) return;
    current.open = false;
    current.querySelector("summary")?.focus();
  };
  addEventListener("pointerdown", left);
  addEventListener("focusin", left);
  addEventListener("keydown", escaped);
  return () => {
    removeEventListener("pointerdown", left);
    removeEventListener("focusin", left);
    removeEventListener("keydown", escaped);
  };
}
