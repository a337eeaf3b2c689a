import type { JSX } from "preact";

import { formats, t } from "../../i18n";
import type { DoseRing as Ring } from "../../model/alarms/dose";
import { dashes } from "../../model/alarms/dose";

const RADIUS = 26;
const MINUTE_MS = 60_000;

/** The dose of carbon monoxide: the ring is full when an alarm is due. */
export function DoseRing({ ring: { share, minutesLeft } }: { readonly ring: Ring }): JSX.Element {
  const percent = formats.value.count(Math.round(share * 100));
  const [drawn, rest] = dashes(share, RADIUS);
  return (
    <figure class="dose" data-full={share >= 1}>
      <svg viewBox="0 0 64 64" role="img" aria-label={t("alarms.dose.label", { percent })}>
        <circle class="track" cx="32" cy="32" r={RADIUS} />
        {share > 0 && <circle class="filled" cx="32" cy="32" r={RADIUS} stroke-dasharray={`${drawn} ${rest}`} transform="rotate(-90 32 32)" />}
        <text x="32" y="37" text-anchor="middle" aria-hidden="true">{percent} %</text>
      </svg>
      {minutesLeft !== null && <figcaption>{t("alarms.dose.left", { time: formats.value.duration(minutesLeft * MINUTE_MS) })}</figcaption>}
    </figure>
  );
}
