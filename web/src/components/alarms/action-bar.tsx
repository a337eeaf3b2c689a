import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { AlarmOperator } from "../../app/alarm-operator";
import { t } from "../../i18n";
import { messageText } from "../../i18n/alarm-text";
import { reasonOf } from "../../i18n/reason-text";
import type { AlarmAction, ShelveTime } from "../../model/alarms/actions";
import { MAX_COMMENT_LENGTH, SHELVE_SECONDS, allows, shelveTimes } from "../../model/alarms/actions";
import type { Alarm } from "../../model/alarms/alarm";

const MAX_REFUSED_SHOWN = 5;

const SIMPLE_ACTIONS = [
  ["acknowledge", "alarms.acknowledge"],
  ["reset", "alarms.reset"],
  ["unshelve", "alarms.unshelve"],
  ["out-of-service", "alarms.outOfService"],
  ["in-service", "alarms.inService"],
] as const;

/** What can be done with the selected alarms, with a comment. Buttons appear only for what at least one of them allows. */
export function ActionBar({ alarms, operator }: { readonly alarms: readonly Alarm[]; readonly operator: AlarmOperator }): JSX.Element {
  const comment = useSignal("");
  const time = useSignal<ShelveTime>("1h");
  const selected = alarms.filter(({ id }) => operator.selected.value.has(id));
  const act = async (action: AlarmAction, seconds?: number): Promise<void> => {
    const said = comment.value.trim();
    await operator.act(selected, action, { ...(said ? { comment: said } : {}), ...(seconds === undefined ? {} : { seconds }) });
    comment.value = "";
  };
  const times = shelveTimes(selected);
  const chosen = times.includes(time.value) ? time.value : "1h";
  const isBusy = operator.isBusy.value;
  return (
    <>
      <Refused operator={operator} />
      {selected.length > 0 && (
        <div class="action-bar" role="group" aria-label={t("alarms.selected", { count: selected.length })}>
          <p><strong>{t("alarms.selected", { count: selected.length })}</strong> <button type="button" class="text-button" onClick={() => operator.clear()}>{t("alarms.clear")}</button></p>
          <label class="comment-field">
            <span>{t("alarms.comment")}</span>
            <input maxLength={MAX_COMMENT_LENGTH} value={comment.value} onInput={(event) => (comment.value = event.currentTarget.value)} />
          </label>
          <div class="buttons">
            {SIMPLE_ACTIONS.map(([action, key]) => selected.some((one) => allows(one, action)) && (
              <button type="button" key={action} class={action === "acknowledge" ? "primary" : undefined} disabled={isBusy} onClick={() => void act(action)}>{t(key)}</button>
            ))}
          </div>
          {selected.some((one) => allows(one, "shelve")) && (
            <div class="buttons shelve">
              <label>
                <span>{t("alarms.shelve.for")}</span>
                <select value={chosen} onChange={(event) => (time.value = event.currentTarget.value as ShelveTime)}>
                  {times.map((one) => <option key={one} value={one}>{t(`alarms.shelve.${one}`)}</option>)}
                </select>
              </label>
              <button type="button" disabled={isBusy} onClick={() => void act("shelve", SHELVE_SECONDS[chosen])}>{t("alarms.shelve")}</button>
            </div>
          )}
        </div>
      )}
    </>
  );
}

/** The bridge's reasons. */
function Refused({ operator }: { readonly operator: AlarmOperator }): JSX.Element | null {
  const refused = operator.refused.value;
  if (refused.length === 0) return null;
  const others = refused.length - MAX_REFUSED_SHOWN;
  return (
    <div class="refused error" role="alert">
      <p>{t("alarms.refused", { count: refused.length })}</p>
      <ul>
        {refused.slice(0, MAX_REFUSED_SHOWN).map(({ id, alarm, ...why }) => <li key={id}>{t("alarms.refused.one", { alarm: messageText(alarm), reason: reasonOf(why) })}</li>)}
        {others > 0 && <li>{t("issue.more", { count: others })}</li>}
      </ul>
    </div>
  );
}
