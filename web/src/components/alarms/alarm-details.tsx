import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useApp, useStore } from "../../app/context";
import { formats, t } from "../../i18n";
import type { Alarm } from "../../model/alarms/alarm";
import type { AlarmDelivery, AlarmDetail, AlarmTransition } from "../../model/alarms/detail";
import { asTransitionKind } from "../../model/alarms/detail";
import { ANYONE } from "../../model/wire";
import { errorText } from "../error-text";

/** What happened to an alarm and who was notified, loaded when it is opened. */
export function AlarmDetails({ alarm }: { readonly alarm: Alarm }): JSX.Element {
  const { api } = useApp();
  const detail = useSignal<AlarmDetail | null>(null);
  const error = useSignal("");
  const load = async (): Promise<void> => {
    error.value = "";
    try {
      detail.value = await api.alarmDetail(alarm.id);
    } catch (failure) {
      error.value = t("alarms.failed", { error: errorText(failure) });
    }
  };
  return (
    <details class="alarm-details" onToggle={(event) => event.currentTarget.open && void load()}>
      <summary>{t("alarms.details")}</summary>
      {error.value && <p class="error small" role="alert">{error.value}</p>}
      {!detail.value && !error.value && <p class="muted small">{t("app.loading")}</p>}
      {detail.value && <ol>{detail.value.transitions.map((one) => <Transition key={one.id} transition={one} />)}</ol>}
      {detail.value && detail.value.deliveries.length > 0 && (
        <>
          <p class="muted small">{t("alarms.details.notified")}</p>
          <ol>{detail.value.deliveries.map((one) => <Delivery key={one.target} delivery={one} />)}</ol>
        </>
      )}
    </details>
  );
}

function Transition({ transition }: { readonly transition: AlarmTransition }): JSX.Element {
  const { kind, at, by, comment, isHeld } = transition;
  const known = asTransitionKind(kind);
  const what = known ? t(`alarms.transition.${known}`) : kind;
  return (
    <li>
      <Moment at={at} />
      <span>
        {by === null || by === ANYONE ? what : t("alarms.details.by", { what, name: by })}
        {isHeld && ` (${t("alarms.details.held")})`}
        {comment && <span class="comment"> {comment}</span>}
      </span>
    </li>
  );
}

function Delivery({ delivery: { target, state, at, error } }: { readonly delivery: AlarmDelivery }): JSX.Element {
  return (
    <li data-delivery={state}>
      {at === null ? <span /> : <Moment at={at} />}
      <span>{t(`alarms.delivery.${state}`, { target })}{error && <span class="muted"> {error}</span>}</span>
    </li>
  );
}

function Moment({ at }: { readonly at: number }): JSX.Element {
  const { now } = useStore();
  return <time dateTime={new Date(at).toISOString()} title={formats.value.full(at)}>{formats.value.moment(at, now.peek())}</time>;
}
