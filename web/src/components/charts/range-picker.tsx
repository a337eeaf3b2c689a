import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { DeviceForecasts } from "../../app/device-forecasts";
import type { Ranged } from "../../app/range-gestures";
import { formats, t } from "../../i18n";
import type { LengthName } from "../../model/history/time-range";
import { LENGTHS, live, pan, zoom } from "../../model/history/time-range";
import { Icon } from "../icon";

/** Selects the time range of the charts: a live length, or a fixed range by panning and zooming. */
export function RangePicker({ ranged, forecasts }: { ranged: Ranged; forecasts?: DeviceForecasts }): JSX.Element {
  const store = useStore();
  const range = ranged.range.value;
  const move = (fraction: number) => () => (ranged.range.value = pan(ranged.range.peek(), fraction, store.bridgeNow()));
  const scale = (factor: number) => () => (ranged.range.value = zoom(ranged.range.peek(), factor, store.bridgeNow()));
  return (
    <div class="range-picker">
      <div class="choices" role="group" aria-label={t("range.label")}>
        {(Object.keys(LENGTHS) as LengthName[]).map((name) => (
          <button type="button" key={name} aria-pressed={range.live && range.length === LENGTHS[name]} onClick={() => (ranged.range.value = live(LENGTHS[name]))}>
            {t(`range.${name}`)}
          </button>
        ))}
      </div>
      <div class="range-steps">
        <IconButton icon="back" label={t("range.earlier")} onClick={move(-0.5)} />
        <IconButton icon="forward" label={t("range.later")} onClick={move(0.5)} disabled={range.live} />
        <IconButton icon="zoomIn" label={t("range.zoomIn")} onClick={scale(0.5)} />
        <IconButton icon="zoomOut" label={t("range.zoomOut")} onClick={scale(2)} />
        {!range.live && <button type="button" class="primary" onClick={() => (ranged.range.value = live(range.span.to - range.span.from))}>{t("range.toLive")}</button>}
      </div>
      {forecasts?.isOffered.value && (
        <button type="button" class="forecast-toggle" aria-pressed={forecasts.isWanted} onClick={() => forecasts.toggle()}>{t("forecast.toggle")}</button>
      )}
      <p class="muted small">{range.live ? "" : `${formats.value.full(range.span.from)} – ${formats.value.full(range.span.to)}`}</p>
    </div>
  );
}

interface IconButtonProps {
  readonly icon: "back" | "forward" | "zoomIn" | "zoomOut";
  readonly label: string;
  readonly onClick: () => void;
  readonly disabled?: boolean;
}

function IconButton({ icon, label, onClick, disabled = false }: IconButtonProps): JSX.Element {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={onClick} disabled={disabled}>
      <Icon name={icon} />
    </button>
  );
}
