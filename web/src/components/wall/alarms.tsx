import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { formats, t } from "../../i18n";
import { adviceText, messageText, stateText } from "../../i18n/alarm-text";
import type { Alarm } from "../../model/alarms/alarm";
import { isActive } from "../../model/alarms/alarm";
import { sectionsOf } from "../../model/alarms/groups";
import { Age } from "../age";
import { Icon } from "../icon";
import { useBannerAlarms } from "../layout/alarm-banner";

const MAX_NAMED = 3;

/** The urgent alarms of all rooms, on every page of wall mode. */
export function WallAlarms(): JSX.Element | null {
  const alarms = useBannerAlarms();
  const groups = sectionsOf(alarms).flatMap((one) => one.groups);
  const [first] = groups;
  if (first === undefined) return null;
  const named = groups.slice(0, MAX_NAMED);
  const others = groups.slice(MAX_NAMED).reduce((sum, group) => sum + group.alarms.length, 0);
  const advice = isActive(first.first) ? adviceText(first.first) : "";
  return (
    <section class="wall-alarms" aria-label={t("app.title.alarm")}>
      <Icon name={named.some((one) => one.first.field === "flameDetected") ? "flame" : "warning"} />
      <ul>
        {named.map((group) => <Named key={group.key} alarm={group.first} others={group.alarms.length - 1} />)}
        {others > 0 && <li>{t("issue.more", { count: others })}</li>}
      </ul>
      {advice && <p class="advice">{advice}</p>}
      <p class="disclaimer">{t("app.disclaimer")}</p>
    </section>
  );
}

function Named({ alarm, others }: { readonly alarm: Alarm; readonly others: number }): JSX.Element {
  const store = useStore();
  const since = isActive(alarm) ? alarm.raisedAt : alarm.clearedAt ?? alarm.raisedAt;
  const device = alarm.deviceId === null ? null : store.device(alarm.deviceId)?.name ?? alarm.deviceId;
  return (
    <li>
      <strong>{messageText(alarm)}</strong>
      <span>
        {device !== null && `${device} · `}
        {!isActive(alarm) && `${stateText(alarm)} · `}
        {since !== null && <>{t("alarm.since", { time: formats.value.moment(since, store.now.peek()) })} (<Age at={since} />)</>}
        {others > 0 && ` · ${t("issue.more", { count: others })}`}
      </span>
    </li>
  );
}
