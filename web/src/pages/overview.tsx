import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../app/context";
import { Card } from "../components/device/card";
import { RetiredDevices } from "../components/device/retired";
import type { IconName } from "../components/icon";
import { Icon } from "../components/icon";
import { t } from "../i18n";
import type { Statement } from "../model/devices/headline";
import type { Severity } from "../model/devices/issues";
import { severityRank } from "../model/devices/issues";
import type { DeviceCounts, DeviceFilter, RoomGroup, StatusFilter } from "../model/devices/ranking";
import { groupByRoom, matches } from "../model/devices/ranking";

const STATUS_FILTERS: readonly StatusFilter[] = ["all", "attention", "offline"];
/** Fewer devices fit on one screen, so no filter is shown. */
const MIN_DEVICES_TO_FILTER = 7;
const SUMMARY_ICONS: Readonly<Record<Severity, IconName>> = { alarm: "warning", warning: "warning", notice: "notice", none: "check" };
const NO_FILTER: DeviceFilter = { text: "", status: "all" };

export function OverviewPage(): JSX.Element {
  const store = useStore();
  const filter = useSignal(NO_FILTER);
  const ranked = store.ranked.value;
  if (ranked.length === 0) return store.loaded.value ? <><Empty /><RetiredDevices /></> : <p class="waiting">{t("overview.unknown")}…</p>;

  const groups = groupByRoom(ranked.filter((one) => matches(one, filter.value)));
  return (
    <div class="overview">
      <div class="head">
        <Summary />
        {ranked.length >= MIN_DEVICES_TO_FILTER && <Filters filter={filter.value} onChange={(changed) => (filter.value = changed)} />}
      </div>
      {groups.length === 0 && (
        <div class="waiting">
          <p>{t("overview.none")}</p>
          <button type="button" onClick={() => (filter.value = NO_FILTER)}>{t("overview.none.clear")}</button>
        </div>
      )}
      {groups.map((one) => <Room key={`${one.site}\n${one.room}`} group={one} isOnly={groups.length === 1} />)}
      <RetiredDevices />
    </div>
  );
}

/** The overall state in a few words, readable from across the room. */
function Summary(): JSX.Element {
  const { counts, connection, headline } = useStore();
  const { severity, statements: [first, ...others] } = headline.value;
  const isKnown = connection.value.open;
  const isJudged = isKnown && first.kind !== "alarmsUnknown";
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

interface FiltersProps {
  readonly filter: DeviceFilter;
  readonly onChange: (filter: DeviceFilter) => void;
}

function Filters({ filter, onChange }: FiltersProps): JSX.Element {
  const { counts } = useStore();
  return (
    <search class="filters">
      <label class="search">
        <Icon name="search" />
        <span class="visually-hidden">{t("overview.search")}</span>
        <input
          type="search"
          placeholder={t("overview.search.hint")}
          value={filter.text}
          onInput={(event) => onChange({ ...filter, text: event.currentTarget.value })}
        />
      </label>
      <div class="choices" role="group" aria-label={t("overview.filter.label")}>
        {STATUS_FILTERS.map((status) => (
          <button type="button" key={status} aria-pressed={filter.status === status} onClick={() => onChange({ ...filter, status })}>
            {t(`overview.filter.${status}`)} <span class="number">{counts.value[status]}</span>
          </button>
        ))}
      </div>
    </search>
  );
}

function Room({ group, isOnly }: { group: RoomGroup; isOnly: boolean }): JSX.Element {
  const { site, room, devices } = group;
  const isNamed = Boolean(site || room);
  const title = room || site || t("overview.noLocation");
  const attention = devices.filter(({ severity }) => severityRank(severity) >= severityRank("warning")).length;
  return (
    <section class="room" style={{ "--count": devices.length }} aria-label={[site, title].filter(Boolean).join(", ")}>
      {(isNamed || !isOnly) && (
        <h2>
          {site && room && <span class="site">{site}</span>}
          <span>{title}</span>
          <span class="number">{devices.length}</span>
          {attention > 0 && <span class="visually-hidden">{t("overview.attention", { count: attention })}</span>}
        </h2>
      )}
      <ul class="cards">
        {devices.map((ranked) => <Card key={ranked.device.id} ranked={ranked} />)}
      </ul>
    </section>
  );
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
