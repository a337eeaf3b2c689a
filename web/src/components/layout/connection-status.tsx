import type { JSX } from "preact";

import { formats, t } from "../../i18n";
import type { Link } from "../../model/bridge/connection";
import { linkState } from "../../model/bridge/connection";
import { useApp } from "../../app/context";

/** The one word, announced when it changes. */
export function LinkMark(): JSX.Element {
  const { link, now } = useApp();
  const state = linkState(link.value);
  return (
    <p class="link" role="status" data-state={state} title={linkText(link.value, now.peek())}>
      <span class="mark" aria-hidden="true" />
      {t(`link.${state}`)}
    </p>
  );
}

/** The sentence that goes with it, while there is something to say. */
export function LinkLine(): JSX.Element | null {
  const app = useApp();
  const link = app.link.value;
  const state = linkState(link);
  if (state === "connected" || (state === "connecting" && !app.loaded.value)) return null;
  if (state === "reconnecting" && link.lostAt !== null && app.now.value - link.lostAt < 2000) return null;
  if (state === "behind" && link.catchingUp) return null;
  return <p class="line" data-state={state}>{linkText(link, app.now.value)}</p>;
}

function linkText(link: Link, now: number): string {
  switch (linkState(link)) {
    case "reconnecting":
      return t("link.lost", { time: formats.value.moment(link.lostAt ?? now, now) });
    case "behind":
      return link.catchingUp ? t("link.catchingUp.more") : t("link.behind.more", { time: formats.value.duration(link.lagMs) });
    case "polling":
      return t(link.via === "http" ? "link.http.more" : "link.long-polling.more");
    case "connecting":
      return t("link.notYet");
    default:
      return t("link.connected.more");
  }
}

export function NoticeLine(): JSX.Element | null {
  const { notice, now } = useApp();
  const shown = notice.value;
  if (shown === null) return null;
  const text = shown.kind === "system" ? shown.message : shown.missed === null ? t("notice.gap.some") : t("notice.gap", { count: shown.missed });
  const level = shown.kind === "system" ? shown.level : "info";
  return (
    <div class="line" data-level={level}>
      <p><time>{formats.value.moment(shown.at, now.peek())}</time> {text}</p>
      <button type="button" class="text-button" onClick={() => (notice.value = null)}>{t("notice.dismiss")}</button>
    </div>
  );
}
