import type { JSX } from "preact";

import type { DeviceExtras } from "../../app/device-extras";
import type { DeviceHistory } from "../../app/device-history";
import { formats, t } from "../../i18n";
import { reasonOf } from "../../i18n/reason-text";
import type { ExtraValue, Point } from "../../model/devices/device-detail";
import { extraPoints } from "../../model/devices/device-detail";
import type { TimeSpan } from "../../model/history/time-range";

const [WIDTH, HEIGHT, INSET] = [300, 40, 3];

/** The keys of the device's messages that are not taken as measurements: why, their last values, and their history. */
export function AlsoSends({ extras, history }: { extras: DeviceExtras; history: DeviceHistory }): JSX.Element | null {
  const keys = extras.detail.value?.alsoSends ?? [];
  if (keys.length === 0) return null;
  const [records, span] = [extras.records.value, history.span.value];
  return (
    <section class="panel also-sends" aria-labelledby="also-sends-title">
      <h2 id="also-sends-title">{t("alsoSends.title")}</h2>
      <p class="muted small">{t("alsoSends.more")}</p>
      <ul>
        {keys.map((one) => {
          const points = extraPoints(records, one.key, span);
          return (
            <li key={one.key}>
              <p class="code">{one.key}</p>
              <p class="figure">{one.lastValue === null ? t("value.none") : extraText(one.lastValue)}</p>
              <p class="muted small">{reasonOf(one)}</p>
              {points.length > 1 && <ExtraChart name={one.key} points={points} span={span} />}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

export function extraText(value: ExtraValue): string {
  if (typeof value === "boolean") return t(value ? "value.yes" : "value.no");
  return typeof value === "number" ? formats.value.number(value) : value;
}

/** A line without axes: the values have no unit and no usual range. */
function ExtraChart({ name, points, span }: { name: string; points: readonly Point[]; span: TimeSpan }): JSX.Element {
  const values = points.map(({ value }) => value);
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const x = (at: number): number => ((at - span.from) / Math.max(span.to - span.from, 1)) * WIDTH;
  const y = (value: number): number => (high === low ? HEIGHT / 2 : HEIGHT - INSET - ((value - low) / (high - low)) * (HEIGHT - 2 * INSET));
  const range = { label: name, low: formats.value.number(low), high: formats.value.number(high) };
  return (
    <figure>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={t("alsoSends.chart", range)}>
        <polyline points={points.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ")} />
      </svg>
      <figcaption class="muted small">{low === high ? range.low : t("alsoSends.range", range)}</figcaption>
    </figure>
  );
}
