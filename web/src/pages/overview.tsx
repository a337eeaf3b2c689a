import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../i18n";
import { rank } from "../model/devices/issues";
import type { Filter, Group, Show } from "../model/devices/ranking";
import { group, matches } from "../model/devices/ranking";
import { Card } from "../components/device/card";
import { useApp } from "../app/context";
import { Icon } from "../components/icon";

const SHOWS: readonly Show[] = ["all", "attention", "offline"];
/** Below this many devices everything is in sight, and a search would only be in the way. */
const WORTH_FILTERING = 7;

export function Overview(): JSX.Element {
  const app = useApp();
  const filter = useSignal<Filter>({ text: "", show: "all" });
  const ranked = app.ranked.value;
  if (ranked.length === 0) return app.loaded.value ? <Empty /> : <p class="waiting">{t("overview.unknown")}…</p>;

  const groups = group(ranked.filter((one) => matches(one, filter.value)));
  const clear = (): void => {
    filter.value = { text: "", show: "all" };
  };
  return (
    <div class="overview">
      <div class="head">
        <Summary />
        {ranked.length >= WORTH_FILTERING && <Filters filter={filter.value} onChange={(changed) => (filter.value = changed)} />}
      </div>
      {groups.length === 0 && (
        <div class="waiting">
          <p>{t("overview.none")}</p>
          <button type="button" onClick={clear}>{t("overview.none.clear")}</button>
        </div>
      )}
      {groups.map((one) => <Place key={`${one.site}\n${one.room}`} place={one} isOnly={groups.length === 1} />)}
    </div>
  );
}

/** How things are, in a sentence that can be read from across the room. */
function Summary(): JSX.Element {
  const { counts, link } = useApp();
  const { all, online, attention, alarms } = counts.value;
  const isKnown = link.value.open;
  const state = alarms > 0 ? "alarm" : attention > 0 ? "warning" : "none";
  const text =
    alarms > 0 ? t("overview.alarm", { count: alarms }) : attention > 0 ? t("overview.attention", { count: attention }) : t("overview.calm");
  return (
    <div class="summary" data-severity={isKnown ? state : "unknown"}>
      <h1>
        <Icon name={state === "none" ? "check" : "warning"} />
        {isKnown || state !== "none" ? text : t("overview.unknown")}
      </h1>
      <p>{isKnown ? (online === all ? t("overview.online", { count: all }) : `${t("overview.known", { count: all })}, ${online} ${t("device.online")}`) : t("overview.known", { count: all })}</p>
    </div>
  );
}

interface FiltersProps {
  readonly filter: Filter;
  readonly onChange: (filter: Filter) => void;
}

function Filters({ filter, onChange }: FiltersProps): JSX.Element {
  const { counts } = useApp();
  const of: Readonly<Record<Show, number>> = { all: counts.value.all, attention: counts.value.attention, offline: counts.value.offline };
  return (
    <search class="filters">
      <label class="search">
        <Icon name="search" />
        <span class="unseen">{t("overview.search")}</span>
        <input
          type="search"
          placeholder={t("overview.search.hint")}
          value={filter.text}
          onInput={(event) => onChange({ ...filter, text: event.currentTarget.value })}
        />
      </label>
      <div class="choices" role="group" aria-label={t("overview.filter")}>
        {SHOWS.map((show) => (
          <button type="button" key={show} aria-pressed={filter.show === show} onClick={() => onChange({ ...filter, show })}>
            {t(`overview.show.${show}`)} <span class="number">{of[show]}</span>
          </button>
        ))}
      </div>
    </search>
  );
}

function Place({ place, isOnly }: { place: Group; isOnly: boolean }): JSX.Element {
  const { site, room, devices } = place;
  const isNamed = Boolean(site || room);
  const title = room || site || t("overview.nowhere");
  const troubled = devices.filter(({ severity }) => rank(severity) >= rank("warning")).length;
  return (
    <section class="place" style={{ "--count": devices.length }} aria-label={[site, title].filter(Boolean).join(", ")}>
      {(isNamed || !isOnly) && (
        <h2>
          {site && room && <span class="site">{site}</span>}
          <span>{title}</span>
          <span class="number">{devices.length}</span>
          {troubled > 0 && <span class="unseen">{t("overview.attention", { count: troubled })}</span>}
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
      <p class="quiet">{t("overview.empty.hint")}</p>
    </section>
  );
}

const EXAMPLE = `mosquitto_pub -h localhost -q 1 \\
  -t sensors/kitchen/data \\
  -m '{"temperature": 21.5}'`;
