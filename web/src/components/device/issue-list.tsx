import type { JSX } from "preact";

import { fieldLabel, flawText, formats, t } from "../../i18n";
import type { Concern, Severity } from "../../model/devices/issues";
import type { Measurement } from "../../model/wire";
import type { IconName } from "../icon";
import { Icon } from "../icon";

const ICONS: Readonly<Record<Concern["kind"], IconName>> = {
  flame: "flame",
  offline: "offline",
  quality: "warning",
  battery: "notice",
  clock: "notice",
};

export function concernText(concern: Concern, table: readonly Measurement[], now: number): string {
  switch (concern.kind) {
    case "flame":
      return t("concern.flame");
    case "offline":
      return concern.since === null ? t("concern.offline") : t("concern.offline.since", { time: formats.value.moment(concern.since, now) });
    case "quality": {
      const measurement = table.find(({ name }) => name === concern.field);
      return t("concern.quality", { field: measurement ? fieldLabel(measurement) : concern.field, flaw: flawText(concern.flag) });
    }
    case "battery":
      return t("concern.battery", { percent: formats.value.number(concern.percent) });
    case "clock":
      return t("concern.clock", { flaw: flawText(concern.flag) });
  }
}

interface ConcernsProps {
  readonly concerns: readonly Concern[];
  readonly table: readonly Measurement[];
  readonly now: number;
  readonly most?: number;
}

/** In words, each with its own shape: the colour only adds to it. */
export function Concerns({ concerns, table, now, most = Number.POSITIVE_INFINITY }: ConcernsProps): JSX.Element | null {
  if (concerns.length === 0) return null;
  const left = concerns.length - most;
  return (
    <ul class="concerns">
      {concerns.slice(0, most).map((concern) => (
        <li key={concern.kind + ("field" in concern ? concern.field : "")} data-severity={concern.severity satisfies Severity}>
          <Icon name={ICONS[concern.kind]} />
          <span>{concernText(concern, table, now)}</span>
        </li>
      ))}
      {left > 0 && <li class="left">{t("concern.more", { count: left })}</li>}
    </ul>
  );
}
