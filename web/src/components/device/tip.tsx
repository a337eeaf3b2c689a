import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { dismissAdvice, shownAdvice } from "../../app/dismissed-advice";
import { t } from "../../i18n";
import { sourceText, tipText } from "../../i18n/advice-text";
import type { Device } from "../../model/devices/device";
import { Age } from "../age";
import { Icon } from "../icon";

interface TipProps {
  readonly device: Device;
  /** Whether it says when it was given and whose limit it names. */
  readonly isFull?: boolean;
}

/** The bridge's advice for the device while it is fresh; it can be dismissed in this browser. */
export function Tip({ device, isFull = false }: TipProps): JSX.Element | null {
  const store = useStore();
  const advice = shownAdvice(store, device.id);
  if (advice === null) return null;
  const text = tipText(advice, store.table.value);
  const source = isFull ? sourceText(advice) : null;
  return (
    <div class="tip" role="note" aria-label={t("tip.label")}>
      <Icon name="notice" />
      <p>
        {text}
        {isFull && <span class="muted small">{source && <span>{source}</span>}<Age at={advice.at} /></span>}
      </p>
      <button type="button" class="icon-button" aria-label={`${t("notice.dismiss")}: ${text}`} title={t("notice.dismiss")} onClick={() => dismissAdvice(advice)}>
        <Icon name="close" />
      </button>
    </div>
  );
}
