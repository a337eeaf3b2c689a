import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { AlarmOperator } from "../../app/alarm-operator";
import { useStore } from "../../app/context";
import { formats, t } from "../../i18n";
import { adviceText, figureText, messageText, pastText, standardText, stateText } from "../../i18n/alarm-text";
import { allows } from "../../model/alarms/actions";
import type { Alarm, Priority } from "../../model/alarms/alarm";
import { isActive, isHidden, isUnacknowledged } from "../../model/alarms/alarm";
import { hrefOf } from "../../model/route";
import { Age } from "../age";
import type { IconName } from "../icon";
import { Icon } from "../icon";
import { AlarmDetails } from "./alarm-details";

/** With the text beside them they tell the priorities apart without colours. */
export const PRIORITY_ICONS: Readonly<Record<Priority, IconName>> = { critical: "warning", high: "warning", medium: "alarms", low: "notice" };

interface AlarmItemProps {
  readonly alarm: Alarm;
  /** Null where nothing can be done. */
  readonly operator: AlarmOperator | null;
  /** Of a group: whether it was the first. */
  readonly isFirst?: boolean;
  /** Whether the device is named; not on its own page. */
  readonly showsDevice?: boolean;
}

/** One alarm: what, where, since when, its state, what to do, and the standard in small print. */
export function AlarmItem({ alarm, operator, isFirst = false, showsDevice = true }: AlarmItemProps): JSX.Element {
  const store = useStore();
  const message = pastText(alarm, store.table.value, store.now.peek()) ?? messageText(alarm);
  const mayAct = operator?.mayAct.value ?? false;
  const advice = isActive(alarm) ? adviceText(alarm) : "";
  const small = [standardText(alarm), alarm.indicative ? t("alarms.indicative") : null].filter(Boolean);
  return (
    <li class="alarm-item" data-priority={alarm.priority} data-state={alarm.state} data-active={isActive(alarm)}>
      {operator && mayAct && (
        <input
          type="checkbox"
          aria-label={t("alarms.select", { alarm: message })}
          checked={operator.selected.value.has(alarm.id)}
          onChange={(event) => operator.select([alarm.id], event.currentTarget.checked)}
        />
      )}
      <div class="what">
        <h3><Icon name={PRIORITY_ICONS[alarm.priority]} />{message}{isFirst && <span class="first">{t("alarms.first")}</span>}</h3>
        <p class="facts">
          {showsDevice && <Where alarm={alarm} />}
          <When alarm={alarm} />
          <span class="alarm-state" data-open={isUnacknowledged(alarm)}>{stateText(alarm)}</span>
          <Figures alarm={alarm} />
          <Hidden alarm={alarm} />
        </p>
        {alarm.comment && <p class="comment">{alarm.comment}</p>}
        {advice && <p class="advice">{advice}</p>}
        {small.length > 0 && <p class="muted tiny">{small.join(" · ")}</p>}
        <AlarmDetails alarm={alarm} />
      </div>
      {operator && mayAct && <Buttons alarm={alarm} operator={operator} />}
    </li>
  );
}

function Where({ alarm: { deviceId, site, room } }: { readonly alarm: Alarm }): JSX.Element {
  const store = useStore();
  store.ranked.value; // changes when the device is added, or its name is known
  const place = [room, site].filter(Boolean).join(", ");
  if (deviceId === null) return <span>{t("alarms.bridge")}</span>;
  return (
    <span>
      <a href={hrefOf({ page: "device", id: deviceId })}>{store.device(deviceId)?.name ?? deviceId}</a>
      {place && ` ${place}`}
    </span>
  );
}

function When({ alarm }: { readonly alarm: Alarm }): JSX.Element | null {
  const { now } = useStore();
  const { raisedAt, clearedAt, past } = alarm;
  if (past !== null || raisedAt === null) return null; // the message says it
  const time = (at: number): string => formats.value.moment(at, now.peek());
  if (isActive(alarm) || clearedAt === null) return <span>{t("alarm.since", { time: time(raisedAt) })} (<Age at={raisedAt} />)</span>;
  return <span>{t("alarms.span", { from: time(raisedAt), to: time(clearedAt), duration: formats.value.duration(Math.max(clearedAt - raisedAt, 0)) })}</span>;
}

function Figures({ alarm }: { readonly alarm: Alarm }): JSX.Element | null {
  const { peak, limit } = alarm;
  const texts = [
    typeof peak?.value === "number" ? t("alarms.peak", { value: figureText(peak.value, alarm) }) : null,
    limit === null ? null : t("alarms.limit", { value: figureText(limit, alarm) }),
  ].filter(Boolean);
  return texts.length === 0 ? null : <span>{texts.join(", ")}</span>;
}

function Hidden({ alarm }: { readonly alarm: Alarm }): JSX.Element | null {
  const { now } = useStore();
  const { shelvedUntil, outOfService, suppressedBy } = alarm;
  const texts = [
    shelvedUntil === null ? null : t("alarms.shelvedUntil", { time: formats.value.moment(shelvedUntil, now.peek()) }),
    outOfService ? t("alarms.isOutOfService") : null,
    suppressedBy !== null && !isHidden(alarm) ? t("alarms.suppressed") : null,
  ].filter(Boolean);
  return texts.length === 0 ? null : <span>{texts.join(", ")}</span>;
}

/** What is done most: at once, without a comment. Everything else is in the bar of the selection. */
function Buttons({ alarm, operator }: { readonly alarm: Alarm; readonly operator: AlarmOperator }): JSX.Element {
  const isPressed = useSignal(false);
  const action = (["unshelve", "in-service", "acknowledge", "reset"] as const).find((one) => allows(alarm, one));
  const act = async (): Promise<void> => {
    if (action === undefined) return;
    isPressed.value = true;
    await operator.act([alarm], action);
    isPressed.value = false;
  };
  const label = { acknowledge: "alarms.acknowledge", reset: "alarms.reset", unshelve: "alarms.unshelve", "in-service": "alarms.inService" } as const;
  return (
    <div class="buttons">
      {action && <button type="button" disabled={operator.isBusy.value} onClick={() => void act()}>{t(isPressed.value ? "auth.busy" : label[action])}</button>}
    </div>
  );
}
