import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useApp, useStore } from "../../app/context";
import { formats, t, unitText, valueText } from "../../i18n";
import { endText, faultText, kindText, limitText } from "../../i18n/anomaly-text";
import { fieldName } from "../../i18n/sentence";
import { MAX_COMMENT_LENGTH } from "../../model/alarms/actions";
import type { Anomaly } from "../../model/analysis/anomaly";
import { evidenceRows } from "../../model/analysis/anomaly";
import { hrefOf } from "../../model/route";
import { Age } from "../age";
import { errorText } from "../error-text";

const MAX_ROWS = 24;

interface FaultItemProps {
  readonly anomaly: Anomaly;
  /** Whether the device is named; not on its own page. */
  readonly showsDevice: boolean;
  /** Called after a person has marked it as wrong. */
  readonly onMarked: () => void;
}

/** One fault of a sensor: the sentence, since when, the evidence, and a way to say that it is none. */
export function FaultItem({ anomaly, showsDevice, onMarked }: FaultItemProps): JSX.Element {
  const { session } = useApp();
  const store = useStore();
  const name = useDeviceName();
  const { deviceId, state, since, endedAt, neighbour, comment } = anomaly;
  const message = faultText(anomaly, store.table.value, neighbour === null ? "" : name(neighbour));
  const time = (at: number): string => formats.value.moment(at, store.now.peek());
  const kind = kindText(anomaly);
  const end = endText(anomaly);
  return (
    <li class="fault" data-state={state}>
      <h3>{message}</h3>
      <p class="facts">
        {showsDevice && <a href={hrefOf({ page: "device", id: deviceId })}>{name(deviceId)}</a>}
        {kind && <span>{kind}</span>}
        {since !== null && endedAt === null && <span>{t("alarm.since", { time: time(since) })} (<Age at={since} />)</span>}
        {since !== null && endedAt !== null && <span>{t("alarms.span", { from: time(since), to: time(endedAt), duration: formats.value.duration(Math.max(endedAt - since, 0)) })}</span>}
        {end && <span>{end}</span>}
      </p>
      {comment && <p class="comment small">{comment}</p>}
      <Evidence anomaly={anomaly} neighbour={neighbour === null ? null : name(neighbour)} />
      {state === "standing" && session.can("command") && <MarkWrong anomaly={anomaly} message={message} onMarked={onMarked} />}
    </li>
  );
}

/** The values that it was found by, beside those of the neighbour, and the limit. */
function Evidence({ anomaly, neighbour }: { readonly anomaly: Anomaly; readonly neighbour: string | null }): JSX.Element | null {
  const store = useStore();
  const limit = limitText(anomaly);
  const rows = evidenceRows(anomaly, MAX_ROWS);
  if (limit === null && rows.length === 0) return null;
  const hasNeighbour = rows.some((row) => row.neighbour !== null);
  const withUnit = (label: string): string => (anomaly.unit ? `${label} (${unitText(anomaly.field, anomaly.unit)})` : label);
  return (
    <details class="evidence">
      <summary>{t("fault.evidence")}</summary>
      {limit && <p class="small">{limit}</p>}
      {rows.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-label={t("fault.evidence")}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("fault.evidence.time")}</th>
                <th scope="col">{withUnit(fieldName(anomaly.field, store.table.value))}</th>
                {hasNeighbour && <th scope="col">{t("fault.evidence.neighbour", { name: neighbour ?? "" })}</th>}
              </tr>
            </thead>
            <tbody>
              {rows.map(({ at, value, neighbour: other }) => (
                <tr key={at}>
                  <td><time dateTime={new Date(at).toISOString()}>{formats.value.moment(at, store.now.peek())}</time></td>
                  <td>{valueText(value, anomaly.field, anomaly.unit)}</td>
                  {hasNeighbour && <td>{valueText(other, anomaly.field, anomaly.unit)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}

interface MarkWrongProps {
  readonly anomaly: Anomaly;
  readonly message: string;
  readonly onMarked: () => void;
}

/** Asks once more in place, as the mark cannot be taken back. */
function MarkWrong({ anomaly, message, onMarked }: MarkWrongProps): JSX.Element {
  const { api } = useApp();
  const isOpen = useSignal(false);
  const wasOpen = useSignal(false);
  const isBusy = useSignal(false);
  const comment = useSignal("");
  const error = useSignal("");
  const mark = async (): Promise<void> => {
    isBusy.value = true;
    error.value = "";
    try {
      await api.markAnomalyWrong(anomaly.id, comment.value.trim());
      isOpen.value = false;
      onMarked();
    } catch (failure) {
      error.value = t("fault.wrong.failed", { error: errorText(failure) });
    } finally {
      isBusy.value = false;
    }
  };
  const open = (): void => {
    isOpen.value = true;
    wasOpen.value = true;
  };
  if (!isOpen.value) {
    return <button type="button" class="text-button mark-wrong" aria-label={`${t("fault.wrong")}: ${message}`} ref={wasOpen.peek() ? focus : null} onClick={open}>{t("fault.wrong")}</button>;
  }
  return (
    <form class="mark-wrong-form" aria-label={t("fault.wrong")} onSubmit={(event) => { event.preventDefault(); void mark(); }} onKeyDown={(event) => { if (event.key === "Escape") isOpen.value = false; }}>
      <p class="small">{t("fault.wrong.more")}</p>
      <label>
        <span>{t("fault.wrong.comment")}</span>
        <input maxLength={MAX_COMMENT_LENGTH} value={comment.value} ref={focus} onInput={(event) => (comment.value = event.currentTarget.value)} />
      </label>
      <div class="buttons">
        <button type="submit" class="primary" disabled={isBusy.value}>{t(isBusy.value ? "auth.busy" : "fault.wrong.confirm")}</button>
        <button type="button" disabled={isBusy.value} onClick={() => (isOpen.value = false)}>{t("details.cancel")}</button>
      </div>
      {error.value && <p class="error small" role="alert">{error.value}</p>}
    </form>
  );
}

function focus(element: HTMLElement | null): void {
  element?.focus();
}

/** The name of a device, also of one that is known only later. */
function useDeviceName(): (id: string) => string {
  const store = useStore();
  store.ranked.value; // changes when the device is added, or its name is known
  return (id) => store.device(id)?.name ?? id;
}
