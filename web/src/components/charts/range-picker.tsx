import type { JSX } from "preact";

import { formats, t } from "../../i18n";
import type { LengthName } from "../../model/history/time-range";
import { LENGTHS, live, pan, zoom } from "../../model/history/time-range";
import type { DeviceHistory } from "../../app/device-history";
import { useApp } from "../../app/context";
import { Icon } from "../icon";

/** Which time the charts show: a length up to now, or where someone went by zooming and moving. */
export function Ranges({ history }: { history: DeviceHistory }): JSX.Element {
  const app = useApp();
  const range = history.range.value;
  const move = (part: number) => () => (history.range.value = pan(history.range.peek(), part, app.bridgeNow()));
  const scale = (factor: number) => () => (history.range.value = zoom(history.range.peek(), factor, app.bridgeNow()));
  return (
    <div class="ranges">
      <div class="choices" role="group" aria-label={t("detail.range")}>
        {(Object.keys(LENGTHS) as LengthName[]).map((name) => (
          <button type="button" key={name} aria-pressed={range.live && range.length === LENGTHS[name]} onClick={() => (history.range.value = live(LENGTHS[name]))}>
            {t(`range.${name}`)}
          </button>
        ))}
      </div>
      <div class="moves">
        <IconButton icon="back" label={t("range.earlier")} onClick={move(-0.5)} />
        <IconButton icon="forward" label={t("range.later")} onClick={move(0.5)} disabled={range.live} />
        <IconButton icon="closer" label={t("range.closer")} onClick={scale(0.5)} />
        <IconButton icon="wider" label={t("range.wider")} onClick={scale(2)} />
        {!range.live && <button type="button" class="primary" onClick={() => (history.range.value = live(range.span.to - range.span.from))}>{t("range.toLive")}</button>}
      </div>
      <p class="quiet small">{range.live ? "" : `${formats.value.full(range.span.from)} – ${formats.value.full(range.span.to)}`}</p>
    </div>
  );
}

interface IconButtonProps {
  readonly icon: "back" | "forward" | "closer" | "wider";
  readonly label: string;
  readonly onClick: () => void;
  readonly disabled?: boolean;
}

function IconButton({ icon, label, onClick, disabled = false }: IconButtonProps): JSX.Element {
  return (
    <button type="button" class="quiet-button" aria-label={label} title={label} onClick={onClick} disabled={disabled}>
      <Icon name={icon} />
    </button>
  );
}
