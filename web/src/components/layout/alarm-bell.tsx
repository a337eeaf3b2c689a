import { useComputed } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { t } from "../../i18n";
import { messageText } from "../../i18n/alarm-text";
import type { Alarm, PriorityCounts } from "../../model/alarms/alarm";
import { PRIORITIES, countByPriority, isQuiet, isUnacknowledged } from "../../model/alarms/alarm";
import { hrefOf } from "../../model/route";
import { Icon } from "../icon";

const MAX_SHOWN = 99;
/** More would be spoken for minutes. */
const MAX_SPOKEN = 3;

/** The number of unacknowledged alarms by priority, on every page; leads to the alarms. */
export function AlarmBell({ isCurrent }: { isCurrent: boolean }): JSX.Element {
  const { alarms } = useStore();
  const counts = useComputed(() => countByPriority(alarms.value.filter((one) => isUnacknowledged(one) && !isQuiet(one)))).value;
  const label = bellText(counts);
  return (
    <a class="bell" href={hrefOf({ page: "alarms", tab: "standing" })} title={label} aria-current={isCurrent ? "page" : undefined}>
      <Icon name="alarms" />
      <span class="visually-hidden">{label}</span>
      {PRIORITIES.map((priority) => counts[priority] > 0 && (
        <span key={priority} class="badge" aria-hidden="true" data-priority={priority}>{counts[priority] > MAX_SHOWN ? `${MAX_SHOWN}+` : counts[priority]}</span>
      ))}
    </a>
  );
}

export function bellText(counts: PriorityCounts): string {
  const counted = PRIORITIES.flatMap((priority) => (counts[priority] > 0 ? [t(`alarm.counted.${priority}`, { count: counts[priority] })] : []));
  return counted.length === 0 ? t("alarm.bell.none") : t("alarm.bell", { counts: counted.join(", ") });
}

/** Has screen readers speak new urgent alarms, and nothing else. */
export function AlarmSpeech(): JSX.Element {
  const { newAlarms } = useStore();
  return <p class="visually-hidden" aria-live="assertive" data-role="alarm-speech">{speechText(newAlarms.value)}</p>;
}

export function speechText(alarms: readonly Alarm[]): string {
  const spoken = alarms.slice(0, MAX_SPOKEN).map((one) => t(one.priority === "critical" ? "alarm.spoken.critical" : "alarm.spoken.high", { message: messageText(one) }));
  const others = alarms.length - spoken.length;
  return [...spoken, ...(others > 0 ? [t("issue.more", { count: others })] : [])].join(" ");
}
