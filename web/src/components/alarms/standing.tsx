import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { AlarmOperator } from "../../app/alarm-operator";
import { useApp, useStore } from "../../app/context";
import { viewSignal } from "../../app/view-state";
import { t } from "../../i18n";
import { messageText } from "../../i18n/alarm-text";
import { isHidden } from "../../model/alarms/alarm";
import type { AlarmGroup, PrioritySection } from "../../model/alarms/groups";
import { countUnacknowledged, sectionsOf } from "../../model/alarms/groups";
import { hrefOf } from "../../model/route";
import { choiceParam } from "../../model/view-param";
import { Age } from "../age";
import { errorText } from "../error-text";
import type { FaultFilter } from "../faults/fault-choice";
import { FaultChoice } from "../faults/fault-choice";
import type { Faults } from "../faults/fault-list";
import { FaultItems, FaultPaging, useFaults } from "../faults/fault-list";
import { Icon } from "../icon";
import { ActionBar } from "./action-bar";
import { AlarmItem, PRIORITY_ICONS } from "./alarm-item";

/** More are shown on request: thousands of rows would block the page. */
const MAX_SHOWN = 100;

const KIND = choiceParam<FaultFilter>("kind", ["all", "alarms", "faults"], "all", { remember: false });

/** The alarms that stand, by priority; those of one rule at one site as one entry. Below them the faults of sensors. */
export function StandingAlarms(): JSX.Element {
  const filter = viewSignal(KIND);
  const faults = useFaults({ state: "standing" });
  return (
    <>
      <FaultChoice filters={["all", "alarms", "faults"]} filter={filter} />
      {filter.value !== "faults" && <Alarms />}
      {filter.value !== "alarms" && <StandingFaults faults={faults} isAlone={filter.value === "faults"} />}
    </>
  );
}

function StandingFaults({ faults, isAlone }: { readonly faults: Faults; readonly isAlone: boolean }): JSX.Element | null {
  const listed = faults.listed.value;
  const items = listed?.items ?? [];
  if (items.length === 0) {
    if (isAlone && listed !== null) return <p class="waiting" role="status">{t("fault.none")}</p>;
    return <FaultPaging faults={faults} />;
  }
  return (
    <section class="panel faults" aria-labelledby="sensor-faults">
      <header>
        <h2 id="sensor-faults">{t("fault.faults")} <span class="number">{items.length}{listed?.next != null && "+"}</span></h2>
        <p class="muted small">{t("fault.more")}</p>
      </header>
      <FaultItems faults={faults} items={items} showsDevice />
      <FaultPaging faults={faults} />
    </section>
  );
}

function Alarms(): JSX.Element {
  const app = useApp();
  const { alarms, alarmKnowledge } = useStore();
  const operator = useMemo(() => new AlarmOperator(app, errorText), []);
  const shown = useComputed(() => alarms.value.filter((one) => !isHidden(one))).value;
  const hidden = alarms.value.length - shown.length;
  return (
    <>
      {shown.length === 0 && alarmKnowledge.value !== "unknown" && <p class="waiting" role="status">{t("alarms.none")}</p>}
      {sectionsOf(shown).map((section) => <Section key={section.priority} section={section} operator={operator} />)}
      {hidden > 0 && <p class="muted">{t("alarms.hiddenCount", { count: hidden })} <a href={hrefOf({ page: "alarms", tab: "hidden" })}>{t("alarms.tab.hidden")}</a></p>}
      <ActionBar alarms={shown} operator={operator} />
    </>
  );
}

function Section({ section, operator }: { readonly section: PrioritySection; readonly operator: AlarmOperator }): JSX.Element {
  const { priority, count, groups } = section;
  const limit = useSignal(MAX_SHOWN);
  const ids = groups.flatMap((group) => group.alarms.map(({ id }) => id));
  const more = groups.length - limit.value;
  return (
    <section class="panel" data-priority={priority} aria-labelledby={`alarms-${priority}`}>
      <header>
        <h2 id={`alarms-${priority}`}><Icon name={PRIORITY_ICONS[priority]} />{t(`alarm.priority.${priority}`)} <span class="number">{count}</span></h2>
        {operator.mayAct.value && count > 1 && (
          <label class="select-all">
            <input
              type="checkbox"
              checked={ids.every((id) => operator.selected.value.has(id))}
              onChange={(event) => operator.select(ids, event.currentTarget.checked)}
            />
            {t("alarms.selectAll")}
          </label>
        )}
      </header>
      <ul class="alarm-items">
        {groups.slice(0, limit.value).map((group) =>
          group.isCollapsed ? <Group key={group.key} group={group} operator={operator} /> : <AlarmItem key={group.key} alarm={group.first} operator={operator} />,
        )}
      </ul>
      {more > 0 && <button type="button" class="older" onClick={() => (limit.value += MAX_SHOWN)}>{t("alarms.more", { count: more })}</button>}
    </section>
  );
}

/** Several alarms of one rule at one site: one line, which opens. */
function Group({ group, operator }: { readonly group: AlarmGroup; readonly operator: AlarmOperator }): JSX.Element {
  const { first, alarms } = group;
  const isOpen = useSignal(false);
  const limit = useSignal(MAX_SHOWN);
  const ids = alarms.map(({ id }) => id);
  const unacknowledged = countUnacknowledged(group);
  const more = alarms.length - limit.value;
  const title = first.site === null ? t("alarms.group.noSite", { count: alarms.length }) : t("alarms.group", { count: alarms.length, site: first.site });
  return (
    <li class="alarm-group" data-priority={first.priority}>
      {operator.mayAct.value && (
        <input
          type="checkbox"
          aria-label={t("alarms.select", { alarm: title })}
          checked={ids.every((id) => operator.selected.value.has(id))}
          onChange={(event) => operator.select(ids, event.currentTarget.checked)}
        />
      )}
      <details onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <strong>{title}</strong>
          {unacknowledged > 0 && <span class="alarm-state" data-open="true">{t("alarms.group.open", { count: unacknowledged })}</span>}
          <span><span class="first">{t("alarms.first")}</span> {messageText(first)}{first.raisedAt !== null && <> (<Age at={first.raisedAt} />)</>}</span>
        </summary>
        {isOpen.value && (
          <>
            <ul class="alarm-items">{alarms.slice(0, limit.value).map((one) => <AlarmItem key={one.id} alarm={one} operator={operator} isFirst={one === first} />)}</ul>
            {more > 0 && <button type="button" class="older" onClick={() => (limit.value += MAX_SHOWN)}>{t("alarms.more", { count: more })}</button>}
          </>
        )}
      </details>
    </li>
  );
}
