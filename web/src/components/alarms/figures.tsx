import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { useApp, useStore } from "../../app/context";
import { useViewState } from "../../app/view-state";
import { formats, t } from "../../i18n";
import { PRIORITIES } from "../../model/alarms/alarm";
import type { AlarmKpis, KpiFigure } from "../../model/alarms/kpis";
import { kpiFigures } from "../../model/alarms/kpis";
import { LENGTHS } from "../../model/history/time-range";
import { choiceParam } from "../../model/view-param";
import { errorText } from "../error-text";
import { Icon } from "../icon";

const PERIODS = ["24h", "7d", "30d"] as const;
const PERIOD = choiceParam("period", PERIODS, "24h");

/** How alarms are handled, against the targets of ISA-18.2 and EEMUA 191. */
export function AlarmFigures(): JSX.Element {
  const { api } = useApp();
  const store = useStore();
  const [length, setLength] = useViewState(PERIOD);
  const kpis = useSignal<AlarmKpis | null>(null);
  const error = useSignal("");
  useEffect(() => {
    let isCurrent = true;
    const to = store.bridgeNow();
    void api.alarmKpis({ from: to - LENGTHS[length], to }).then(
      (loaded) => {
        if (!isCurrent) return;
        kpis.value = loaded;
        error.value = "";
      },
      (failure: unknown) => {
        if (isCurrent) error.value = t("alarms.failed", { error: errorText(failure) });
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [length]);
  return (
    <>
      <div class="choices" role="group" aria-label={t("alarms.kpi.period")}>
        {PERIODS.map((one) => <button type="button" key={one} aria-pressed={one === length} onClick={() => setLength(one)}>{t(`range.${one}`)}</button>)}
      </div>
      {error.value && <p class="error" role="alert">{error.value}</p>}
      {kpis.value === null && !error.value && <p class="waiting">{t("app.loading")}</p>}
      {kpis.value && <Figures kpis={kpis.value} />}
    </>
  );
}

function Figures({ kpis }: { readonly kpis: AlarmKpis }): JSX.Element {
  const store = useStore();
  const standing = PRIORITIES.map((priority) => `${t(`alarm.priority.${priority}`)} ${formats.value.count(kpis.standing[priority])}`).join(", ");
  const chattering = kpis.chattering.map(({ deviceId, rule }) => [deviceId === null ? t("alarms.bridge") : store.device(deviceId)?.name ?? deviceId, rule].join(": "));
  return (
    <section class="panel">
      <dl class="kpis">
        {kpiFigures(kpis).map((one) => (
          <div key={one.name} data-met={one.isMet}>
            <dt>{t(`alarms.kpi.${one.name}`)}</dt>
            <dd>
              <span class="figure">{figureText(one)}</span>
              <Target figure={one} />
              {one.name === "chattering" && chattering.length > 0 && <span class="muted small">{chattering.join("; ")}</span>}
            </dd>
          </div>
        ))}
        <div><dt>{t("alarms.kpi.standing")}</dt><dd>{standing}</dd></div>
      </dl>
      <p class="muted small">{t("alarms.kpi.note")}</p>
    </section>
  );
}

function Target({ figure: { name, isMet } }: { readonly figure: KpiFigure }): JSX.Element | null {
  if (isMet === null || name === "raised" || name === "acknowledgeMedian" || name === "acknowledgeP90") return null;
  return <span class="target small"><Icon name={isMet ? "check" : "warning"} />{t(`alarms.kpi.target.${name}`)}{!isMet && ` (${t("alarms.kpi.missed")})`}</span>;
}

function figureText({ value, unit }: KpiFigure): string {
  if (value === null) return t("value.none");
  switch (unit) {
    case "count":
      return formats.value.count(value);
    case "rate":
      return formats.value.number(value);
    case "share":
      return `${formats.value.number(value * 100)} %`;
    case "seconds":
      return formats.value.duration(value * 1000);
  }
}
