import { useComputed } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { NoticeContent } from "../../app/store";
import { formats, t } from "../../i18n";
import { findingAction, findingReason, findingSince, findingText } from "../../i18n/finding-text";
import { errorOf, reasonText } from "../../i18n/reason-text";
import type { Connection, LinkStatus } from "../../model/bridge/connection";
import { connectionState, linkStatus } from "../../model/bridge/connection";
import type { Finding } from "../../model/bridge/health";
import { findingSeverity } from "../../model/bridge/health";
import { MINUTE } from "../../model/history/time-range";
import { hrefOf } from "../../model/route";
import type { EventLevel } from "../../model/wire";
import { Age } from "../age";
import { Icon } from "../icon";

/** Whether data flows, in a few words; `StatusSpeech` announces changes. */
export function ConnectionStatus(): JSX.Element {
  const { connection, flow, now } = useStore();
  const status = linkStatus(connection.value, flow.value);
  const text = useComputed(() => statusText(linkStatus(connection.value, flow.value), now.value)).value;
  return (
    <p class="connection" data-state={status.kind} data-transport={connection.value.transport} title={statusTitle(status, connection.value, now.peek())}>
      <span class="dot" aria-hidden="true" />
      {text}
    </p>
  );
}

function statusText(status: LinkStatus, now: number): string {
  if (!("since" in status)) return t(`connection.${status.kind}`);
  return t("connection.noData", { time: formats.value.duration(Math.max(1, Math.floor((now - status.since) / MINUTE)) * MINUTE) });
}

function statusTitle(status: LinkStatus, connection: Connection, now: number): string {
  if ("since" in status) return t("connection.noDataSince", { time: formats.value.moment(status.since, now) });
  return status.kind === "none" ? t("connection.none.more") : connectionText(connection, now);
}

/** Has screen readers speak, without haste, what the status and the banner say. Without durations, which change all the time. */
export function StatusSpeech(): JSX.Element {
  const { connection, flow, troubles, now } = useStore();
  const status = linkStatus(connection.value, flow.value);
  const state = "since" in status ? t("connection.noDataSince", { time: formats.value.moment(status.since, now.peek()) }) : t(`connection.${status.kind}`);
  return <p class="visually-hidden" role="status">{[state, ...troubles.value.map(findingText)].join(". ")}</p>;
}

/** Explains a connection that is slower than usual. */
export function ConnectionBanner(): JSX.Element | null {
  const store = useStore();
  const connection = store.connection.value;
  const state = connectionState(connection);
  if (state === "connected" || state === "reconnecting" || (state === "connecting" && !store.loaded.value)) return null;
  if (state === "delayed" && connection.catchingUp) return null;
  return <p class="banner" data-state={state}>{connectionText(connection, store.now.value)}</p>;
}

function connectionText(connection: Connection, now: number): string {
  switch (connectionState(connection)) {
    case "reconnecting":
      return t("connection.lost", { time: formats.value.moment(connection.lostAt ?? now, now) });
    case "delayed":
      return connection.catchingUp ? t("connection.catchingUp.more") : t("connection.delayed.more", { time: formats.value.duration(connection.delayMs) });
    case "polling":
      return t(connection.transport === "http" ? "connection.http.more" : "connection.long-polling.more");
    case "connecting":
      return t("connection.pending");
    default:
      return t("connection.connected.more");
  }
}

/** On every page: what is wrong with the bridge, since when, and what to do. `isBrief` leaves out what the page itself says. */
export function TroubleBanner({ isBrief }: { readonly isBrief: boolean }): JSX.Element | null {
  const { troubles } = useStore();
  if (troubles.value.length === 0) return null;
  const isAlarm = troubles.value.some((one) => findingSeverity(one) === "alarm");
  return (
    <section class="banner trouble" data-level={isAlarm ? "error" : "warning"} aria-label={t("banner.label")}>
      <Icon name="warning" />
      <ul>
        {troubles.value.map((one) => (
          <li key={one.kind + ("name" in one ? one.name : "")}>
            <p class="what">{findingText(one)} <Since finding={one} /></p>
            {!isBrief && findingReason(one) && <p class="reason">{findingReason(one)}</p>}
            {!isBrief && <p>{findingAction(one)}</p>}
          </li>
        ))}
      </ul>
      {!isBrief && <a href={hrefOf({ page: "health" })}>{t("nav.health")}</a>}
    </section>
  );
}

/** Since when a finding holds; nothing when that is unknown. */
export function Since({ finding }: { readonly finding: Finding }): JSX.Element | null {
  const { now } = useStore();
  const since = findingSince(finding);
  if (since === null) return null;
  return <span class="since">{t("alarm.since", { time: formats.value.moment(since, now.peek()) })} (<Age at={since} />)</span>;
}

export function NoticeBanner(): JSX.Element | null {
  const { notice, now } = useStore();
  const shown = notice.value;
  if (shown === null) return null;
  return (
    <div class="banner" data-level={noticeLevel(shown)} role="status">
      <p><time>{formats.value.moment(shown.at, now.peek())}</time> {noticeText(shown)}</p>
      <button type="button" class="text-button" onClick={() => (notice.value = null)}>{t("notice.dismiss")}</button>
    </div>
  );
}

function noticeLevel(notice: NoticeContent): EventLevel {
  if (notice.kind === "system") return notice.level;
  return notice.kind === "refused" || (notice.kind === "sent" && notice.command.state === "failed") ? "warning" : "info";
}

function noticeText(notice: NoticeContent): string {
  switch (notice.kind) {
    case "system":
      return reasonText(notice.reason);
    case "gap":
      return notice.missed === null ? t("notice.gap.some") : t("notice.gap", { count: notice.missed });
    case "sent": {
      const { command, state } = notice.command;
      return state === "failed" ? t("notice.command.failed", { command, error: errorOf(notice.command) }) : t("notice.command.sent", { command });
    }
    case "refused":
      return t(`notice.command.${notice.reason}`);
  }
}
