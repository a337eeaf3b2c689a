import type { JSX } from "preact";

import { t } from "../../i18n";
import type { Judged, Level } from "../../standards/assessment";
import { severityOfOrder } from "../../model/devices/assessment";
import { Icon } from "../icon";

const STEPS: readonly Level[] = [1, 2, 3, 4, 5];

/** A step for each level, filled as far as it goes: read without its colour. */
export function LevelMark({ level }: { level: Level }): JSX.Element {
  if (level === 0) return <Icon name="check" />;
  return (
    <svg class="level-mark" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      {STEPS.map((step) => <rect key={step} data-on={step <= level} x={4 * step - 4} y={17 - 3 * step} width="3" height={3 * step} rx="0.6" />)}
    </svg>
  );
}

/** What a device's values mean at their worst, in a word; by which standard is said on its page. */
export function Verdict({ judged }: { judged: Judged }): JSX.Element {
  return (
    <p class="verdict" data-severity={severityOfOrder(judged.order)}>
      <LevelMark level={judged.level} />
      <span><span class="word">{t(judged.levelKey)}</span> <span class="of">{t(judged.key)}</span></span>
    </p>
  );
}
