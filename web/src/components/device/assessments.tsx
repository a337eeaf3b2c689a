import type { JSX } from "preact";

import { formats, t, valueText } from "../../i18n";
import type { Judged, Judgement } from "../../standards/assessment";
import type { Device } from "../../model/devices/device";
import { severityOfOrder } from "../../model/devices/assessment";
import { useApp, useDevice } from "../../app/context";
import { useHours } from "./use-history";
import { LevelMark } from "./level";

/** Every judgement of a device with the standard it is by; nothing where no standard has a word for what it measures. */
export function MeaningPanel({ device }: { device: Device }): JSX.Element | null {
  const app = useApp();
  useDevice(device);
  useHours(device);
  const { judgements } = app.meaning(device);
  if (judgements.length === 0) return null;
  return (
    <section class="panel meaning" id="meaning" aria-labelledby="meaning-title">
      <h2 id="meaning-title">{t("meaning.title")}</h2>
      <ul>{judgements.map((one) => <Row key={one.key} judgement={one} />)}</ul>
    </section>
  );
}

function Row({ judgement }: { judgement: Judgement }): JSX.Element {
  return (
    <li data-severity={judgement.complete ? severityOfOrder(judgement.order) : "none"} data-complete={judgement.complete}>
      <h3>{t(judgement.key)}</h3>
      {judgement.complete ? <Found judged={judgement} /> : <p class="quiet">{t(judgement.levelKey, { hours: judgement.hoursNeeded })}</p>}
      <p class="by">
        {t(judgement.standard)}; {t(judgement.averaging)}.{judgement.note && ` ${t(judgement.note)}`}
      </p>
    </li>
  );
}

function Found({ judged }: { judged: Judged }): JSX.Element {
  return (
    <>
      <p class="figures">
        <span class="value"><Figure judged={judged} /></span>
        <Source judged={judged} />
      </p>
      <p class="verdict" data-severity={severityOfOrder(judged.order)}>
        <LevelMark level={judged.level} />
        <span class="word">{t(judged.levelKey)}</span>
      </p>
      {judged.level > 0 && <p class="advice">{t(judged.advice)}</p>}
    </>
  );
}

/** A yes or no is told by its level. */
function Figure({ judged }: { judged: Judged }): JSX.Element | null {
  if (typeof judged.value === "boolean") return null;
  return (
    <>
      <span class="figure">{formats.value.rate(judged.value)}</span>
      {judged.unit && <span class="unit"> {t(judged.unit)}</span>}
    </>
  );
}

/** The averaged concentration that an index was made of. */
function Source({ judged }: { judged: Judged }): JSX.Element | null {
  const { table } = useApp();
  const measurement = table.value.find(({ name }) => name === judged.field);
  if (judged.measured === judged.value || !measurement?.unit) return null;
  return <span class="quiet small">{t("meaning.from", { value: `${valueText(judged.measured)} ${measurement.unit}` })}</span>;
}
