import type { JSX } from "preact";

import { useStore } from "../../app/context";
import type { NoticeContent } from "../../app/store";
import { formats, t } from "../../i18n";
import { errorOf, reasonOf, reasonText } from "../../i18n/reason-text";
import type { Connection } from "../../model/bridge/connection";
import { connectionState } from "../../model/bridge/connection";
import type { ComponentStatus } from "../../model/bridge/health";
import { hrefOf } from "../../model/route";
import type { EventLevel } from "../../model/wire";

/** A short interruption is not worth a banner. */
const BANNER_DELAY_MS = 2000;

/** The state in one word; screen readers announce changes. */
export function ConnectionStatus(): JSX.Element {
  const { connection, now } = useStore();
  const state = connectionState(connection.value);
  return (
    <p class="connection" role="status" data-state={state} title={connectionText(connection.value, now.peek())}>
      <span class="dot" aria-hidden="true" />
      {t(`connection.${state}`)}
    </p>
  );
}

/** Explains every state other than connected. */
export function ConnectionBanner(): JSX.Element | null {
  const store = useStore();
  const connection = store.connection.value;
  const state = connectionState(connection);
  if (state === "connected" || (state === "connecting" && !store.loaded.value)) return null;
  if (state === "reconnecting" && connection.lostAt !== null && store.now.value - connection.lostAt < BANNER_DELAY_MS) return null;
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

/** Names each component of the bridge that fails, with its reason, on every page. */
export function HealthBanner(): JSX.Element | null {
  const failing = useStore().failing.value;
  if (failing.length === 0) return null;
  return (
    <div class="banner" data-level="error" aria-live="polite">
      {failing.map((component) => (
        <p key={component.name}>{failureText(component)}</p>
      ))}
      <a href={hrefOf({ page: "health" })}>{t("nav.health")}</a>
    </div>
  );
}

function failureText({ name, ...why }: ComponentStatus): string {
  const reason = reasonOf(why);
  if (name === "mqtt") return t("finding.broker", { reason });
  return name === "store" ? t("finding.store", { reason }) : t("finding.component", { name, reason });
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
