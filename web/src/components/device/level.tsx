import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { indexText, levelText } from "../../i18n/assessment-text";
import type { CompleteAssessment, Level } from "../../model/devices/assessment";
import { severityOfOrder } from "../../model/devices/device-assessment";
import { Icon } from "../icon";

const STEPS: readonly Level[] = [1, 2, 3, 4, 5];

/** Five steps, filled up to the level, so that it can be read without colours. */
export function LevelIcon({ level }: { level: Level }): JSX.Element {
  if (level === 0) return <Icon name="check" />;
  return (
    <svg class="level-icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      {STEPS.map((step) => <rect key={step} data-on={step <= level} x={4 * step - 4} y={17 - 3 * step} width="3" height={3 * step} rx="0.6" />)}
    </svg>
  );
}

/** An assessment in one word. The standard is shown on the device page. */
export function LevelBadge({ assessment }: { assessment: CompleteAssessment }): JSX.Element {
  return (
    <p class="level" data-severity={severityOfOrder(assessment.order)}>
      <LevelIcon level={assessment.level} />
      <span><span class="level-name">{levelText(assessment)}</span> <span class="indicator">{indexText(assessment, useStore().table.value)}</span></span>
    </p>
  );
}
