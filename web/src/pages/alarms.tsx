import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import type { AlarmQuery } from "../api/client";
import type { AlarmList } from "../app/alarm-list";
import { alarmList } from "../app/alarm-list";
import { AlarmOperator } from "../app/alarm-operator";
import { useApp, useStore } from "../app/context";
import { useViewState, viewSignal } from "../app/view-state";
import { ActionBar } from "../components/alarms/action-bar";
import { AlarmItem } from "../components/alarms/alarm-item";
import { AlarmFigures } from "../components/alarms/figures";
import { RulesFileNotice } from "../components/alarms/rules-file-notice";
import { StandingAlarms } from "../components/alarms/standing";
import { errorText } from "../components/error-text";
import { FaultChoice } from "../components/faults/fault-choice";
import { FaultItems, FaultPaging, useFaults } from "../components/faults/fault-list";
import { PushButton, PushNote } from "../components/layout/push-control";
import { SoundButton } from "../components/layout/sound-button";
import { t } from "../i18n";
import { PRIORITIES, asPriority } from "../model/alarms/alarm";
import { choiceParam } from "../model/view-param";
import type { AlarmTab } from "../model/route";
import { ALARM_TABS, hrefOf } from "../model/route";
import "../style/alarms.css";

const KIND = choiceParam("kind", ["alarms", "faults"], "alarms", { remember: false });
const PRIORITY = choiceParam("priority", ["", ...PRIORITIES], "", { remember: false });

/** The alarms that stand, those that ended, those that operators hid, and figures of how they are handled. */
export function AlarmsPage({ tab }: { tab: AlarmTab }): JSX.Element {
  const { session } = useApp();
  return (
    <div class="alarms">
      <header>
        <h1>{t("alarms.title")}</h1>
        <ul class="tabs" aria-label={t("alarms.views")}>
          {ALARM_TABS.map((one) => (
            <li key={one}><a href={hrefOf({ page: "alarms", tab: one })} aria-current={one === tab ? "page" : undefined}>{t(`alarms.tab.${one}`)}</a></li>
          ))}
        </ul>
        <div class="switches">
          <SoundButton />
          <PushButton />
        </div>
        <PushNote />
        {!session.can("command") && <p class="muted small">{t("alarms.forbidden")}</p>}
      </header>
      <RulesFileNotice />
      <Knowledge />
      <Tab key={tab} tab={tab} />
    </div>
  );
}

function Tab({ tab }: { tab: AlarmTab }): JSX.Element {
  switch (tab) {
    case "standing":
      return <StandingAlarms />;
    case "history":
      return <History />;
    case "hidden":
      return <HiddenAlarms />;
    case "figures":
      return <AlarmFigures />;
  }
}

/** Says when alarms may be missing. */
function Knowledge(): JSX.Element | null {
  const knowledge = useStore().alarmKnowledge.value;
  if (knowledge === "known") return null;
  return <p class="notice" role="status">{t(knowledge === "unknown" ? "alarms.unknown" : "alarms.catchingUp")}</p>;
}

function History(): JSX.Element {
  const filter = viewSignal(KIND);
  return (
    <>
      <FaultChoice filters={["alarms", "faults"]} filter={filter} />
      {filter.value === "alarms" ? <EndedAlarms /> : <EndedFaults />}
    </>
  );
}

function EndedFaults(): JSX.Element {
  const faults = useFaults({ state: "all" });
  const listed = faults.listed.value;
  const ended = listed?.items.filter(({ state }) => state !== "standing") ?? [];
  return (
    <>
      {listed === null && faults.error.value === null && <p class="waiting">{t("app.loading")}</p>}
      {listed !== null && ended.length === 0 && listed.next === null && <p class="waiting" role="status">{t("fault.none.history")}</p>}
      {ended.length > 0 && <section class="panel faults"><FaultItems faults={faults} items={ended} showsDevice /></section>}
      <FaultPaging faults={faults} />
    </>
  );
}

function EndedAlarms(): JSX.Element {
  const [priority, setPriority] = useViewState(PRIORITY);
  const list = useList(() => ({ state: "ended", priority: viewSignal(PRIORITY).value }));
  return (
    <>
      <div class="controls">
        <label>
          <span>{t("alarms.filter.priority")}</span>
          <select value={priority} onChange={(event) => setPriority(asPriority(event.currentTarget.value) ?? "")}>
            <option value="">{t("alarms.filter.any")}</option>
            {PRIORITIES.map((one) => <option key={one} value={one}>{t(`alarm.priority.${one}`)}</option>)}
          </select>
        </label>
      </div>
      <Listed list={list} operator={null} empty={t("alarms.none.history")} />
    </>
  );
}

function HiddenAlarms(): JSX.Element {
  const app = useApp();
  const list = useList(() => ({ state: "shelved" }));
  const operator = useMemo(() => new AlarmOperator(app, errorText, () => list.refresh()), [list]);
  return (
    <>
      <Listed list={list} operator={operator} empty={t("alarms.none.hidden")} />
      <ActionBar alarms={list.listed.value?.items ?? []} operator={operator} />
    </>
  );
}

function useList(query: () => AlarmQuery): AlarmList {
  const app = useApp();
  const list = useMemo(() => alarmList(app, query), []);
  useEffect(() => () => list.close(), [list]);
  return list;
}

interface ListedProps {
  readonly list: AlarmList;
  readonly operator: AlarmOperator | null;
  readonly empty: string;
}

function Listed({ list, operator, empty }: ListedProps): JSX.Element {
  const listed = list.listed.value;
  const error = list.error.value;
  return (
    <>
      {error !== null && <p class="error" role="alert">{t("alarms.failed", { error: errorText(error) })}</p>}
      {listed === null && error === null && <p class="waiting">{t("app.loading")}</p>}
      {listed?.items.length === 0 && <p class="waiting" role="status">{empty}</p>}
      {listed !== null && listed.items.length > 0 && (
        <ul class="alarm-items">{listed.items.map((one) => <AlarmItem key={one.id} alarm={one} operator={operator} />)}</ul>
      )}
      {listed?.next != null && (
        <button type="button" class="older" disabled={list.isLoading.value} onClick={() => void list.loadOlder()}>{t("alarms.older")}</button>
      )}
    </>
  );
}
