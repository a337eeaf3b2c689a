import type { JSX } from "preact";

import { useStore } from "../app/context";
import { useViewState } from "../app/view-state";
import { RetiredDevices } from "../components/device/retired";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import { lazy } from "../components/lazy";
import { Filters, STATUS_FILTERS, VIEWS, ViewChoice } from "../components/overview/filters";
import { Room } from "../components/overview/room";
import { t } from "../i18n";
import type { Statement } from "../model/devices/headline";
import type { Severity } from "../model/devices/issues";
import type { DeviceCounts, DeviceFilter, RankedDevice } from "../model/devices/ranking";
import { groupByRoom, matches } from "../model/devices/ranking";
import { choiceParam, textParam } from "../model/view-param";

const DeviceTable = lazy(async () => (await import("../components/overview/device-table")).DeviceTable);

/** Fewer devices fit on one screen, so no filter is shown. */
const MIN_DEVICES_TO_FILTER = 7;
const MIN_DEVICES_TO_CHOOSE = 2;
const SUMMARY_ICONS: Readonly<Record<Severity, IconName>> = { alarm: "warning", warning: "warning", notice: "notice", none: "check" };
const SEARCH = textParam("q", { remember: false });
const STATUS = choiceParam("status", STATUS_FILTERS, "all", { push: true, remember: false });
const VIEW = choiceParam("view", VIEWS, "cards", { push: true });

export function OverviewPage(): JSX.Element {
  const store = useStore();
  const [text, setText] = useViewState(SEARCH);
  const [status, setStatus] = useViewState(STATUS);
  const [view, setView] = useViewState(VIEW);
  const filter: DeviceFilter = { text, status };
  const setFilter = (changed: DeviceFilter): void => {
    setText(changed.text);
    setStatus(changed.status);
  };
  const ranked = store.ranked.value;
  if (ranked.length === 0) return store.loaded.value ? <><Empty /><RetiredDevices /></> : <p class="waiting">{t("overview.unknown")}…</p>;

  const matching = ranked.filter((one) => matches(one, filter));
  return (
    <div class="overview">
      <div class="head">
        <Summary />
        <div class="head-controls">
          {ranked.length >= MIN_DEVICES_TO_FILTER && <Filters filter={filter} onChange={setFilter} />}
          {ranked.length >= MIN_DEVICES_TO_CHOOSE && <ViewChoice view={view} onChange={(next) => setView(next)} />}
        </div>
      </div>
      {matching.length === 0 && (
        <div class="waiting">
          <p>{t("overview.none")}</p>
          <button type="button" onClick={() => setFilter({ text: "", status: "all" })}>{t("overview.none.clear")}</button>
        </div>
      )}
      {matching.length > 0 && view === "table" && <DeviceTable ranked={matching} />}
      {view === "cards" && <Rooms ranked={matching} isFiltered={text !== "" || status !== "all"} />}
      <RetiredDevices />
    </div>
  );
}

function Rooms({ ranked, isFiltered }: { readonly ranked: readonly RankedDevice[]; readonly isFiltered: boolean }): JSX.Element {
  const groups = groupByRoom(ranked);
  return <>{groups.map((one) => <Room key={`${one.site}\n${one.room}`} group={one} isOnly={groups.length === 1} isFiltered={isFiltered} />)}</>;
}

/** The overall state in a few words, readable from across the room. */
function Summary(): JSX.Element {
  const { counts, connection, headline } = useStore();
  const { severity, statements: [first, ...others] } = headline.value;
  const isKnown = connection.value.open;
  const isJudged = isKnown && first.kind !== "alarmsUnknown" && first.kind !== "alarmsHidden";
  return (
    <div class="summary" data-severity={isJudged ? severity : "unknown"}>
      <h1>
        <Icon name={SUMMARY_ICONS[severity]} />
        {isKnown || "count" in first ? statementText(first) : t("overview.unknown")}
      </h1>
      <p>{[...others.map(statementText), countText(counts.value, isKnown)].join(" · ")}</p>
    </div>
  );
}

function statementText(statement: Statement): string {
  switch (statement.kind) {
    case "noAlarm":
      return t("overview.noAlarm");
    case "well":
      return t("overview.ok");
    case "alarmsUnknown":
    case "alarmsCatchingUp":
    case "alarmsHidden":
      return t(`overview.${statement.kind}`);
    case "attention":
    case "air":
    case "silent":
      return t(`overview.${statement.kind}`, { count: statement.count });
    default:
      return t(`alarm.counted.${statement.kind}`, { count: statement.count });
  }
}

function countText({ all, online }: DeviceCounts, isKnown: boolean): string {
  if (!isKnown) return t("overview.devices", { count: all });
  return online === all ? t("overview.online", { count: all }) : `${t("overview.devices", { count: all })}, ${online} ${t("device.online")}`;
}

function Empty(): JSX.Element {
  const device = t("overview.empty.device");
  return (
    <section class="empty">
      <h1>{t("overview.empty")}</h1>
      <p>{t("overview.empty.how", { topic: `sensors/${device}/data` })}</p>
      <pre tabIndex={0} aria-label={t("overview.empty.example")}><code>{EXAMPLE}</code></pre>
      <p class="muted">{t("overview.empty.hint")}</p>
    </section>
  );
}

const EXAMPLE = `mosquitto_pub -h localhost -q 1 \\
  -t sensors/kitchen/data \\
  -m '{"temperature": 21.5}'`;
