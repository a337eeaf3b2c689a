import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../../i18n";
import type { Route } from "../../model/route";
import { Icon } from "../icon";
import { lazy } from "../lazy";

const ShareDialog = lazy(async () => (await import("../share/share-dialog")).ShareDialog);

export function ShareButton({ route }: { route: Route }): JSX.Element | null {
  const isOpen = useSignal(false);
  if (route.page === "notFound" || route.page === "links") return null;
  return (
    <>
      <button type="button" class="icon-button" aria-label={t("share.button")} title={t("share.button")} aria-haspopup="dialog" onClick={() => (isOpen.value = true)}>
        <Icon name="share" />
      </button>
      {isOpen.value && <ShareDialog route={route} onClose={() => (isOpen.value = false)} />}
    </>
  );
}
