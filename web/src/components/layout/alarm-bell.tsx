import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";

import { useStore } from "../../app/context";
import { bellText, speechText } from "../../i18n/alarm-text";
import { PRIORITIES, countByPriority, isCalling, isQuiet, isUnacknowledged } from "../../model/alarms/alarm";
import { hrefOf } from "../../model/route";
import { Icon } from "../icon";

const MAX_SHOWN = 99;

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

/** Has screen readers speak new urgent alarms, and nothing else. Silent once nothing calls any more. */
export function AlarmSpeech(): JSX.Element {
  const { alarms, newAlarms } = useStore();
  const isCalled = useComputed(() => alarms.value.some(isCalling)).value;
  const spoken = newAlarms.value;
  const last = useRef({ spoken, count: 0 });
  if (last.current.spoken !== spoken) last.current = { spoken, count: last.current.count + 1 };
  return <p class="visually-hidden" aria-live="assertive">{isCalled && <span key={last.current.count}>{speechText(spoken)}</span>}</p>;
}
