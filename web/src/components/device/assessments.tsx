import type { JSX } from "preact";

import { useDevice, useHourlyMeans, useStore } from "../../app/context";
import { formats, t, valueText } from "../../i18n";
import type { Device } from "../../model/devices/device";
import { severityOfOrder } from "../../model/devices/device-assessment";
import type { Assessment, CompleteAssessment } from "../../standards/assessment";
import { LevelIcon } from "./level";

/** All assessments of a device, each with its standard. Empty when no standard covers its fields. */
export function AssessmentPanel({ device }: { device: Device }): JSX.Element | null {
  const store = useStore();
  useDevice(device);
  useHourlyMeans(device);
  const { assessments } = store.assessment(device);
  if (assessments.length === 0) return null;
  return (
    <section class="panel assessments" id="assessments" aria-labelledby="assessments-title">
      <h2 id="assessments-title">{t("assessment.title")}</h2>
      <ul>{assessments.map((one) => <Row key={one.key} assessment={one} />)}</ul>
    </section>
  );
}

function Row({ assessment }: { assessment: Assessment }): JSX.Element {
  return (
    <li data-severity={assessment.complete ? severityOfOrder(assessment.order) : "none"} data-complete={assessment.complete}>
      <h3>{t(assessment.key)}</h3>
      {assessment.complete ? <Result assessment={assessment} /> : <p class="muted">{t(assessment.levelKey, { hours: assessment.hoursNeeded })}</p>}
      <p class="standard">
        {t(assessment.standard)}; {t(assessment.averaging)}.{assessment.note && ` ${t(assessment.note)}`}
      </p>
    </li>
  );
}

function Result({ assessment }: { assessment: CompleteAssessment }): JSX.Element {
  return (
    <>
      <p class="figures">
        <span class="value"><Figure assessment={assessment} /></span>
        <Source assessment={assessment} />
      </p>
      <p class="level" data-severity={severityOfOrder(assessment.order)}>
        <LevelIcon level={assessment.level} />
        <span class="level-name">{t(assessment.levelKey)}</span>
      </p>
      {assessment.level > 0 && <p class="advice">{t(assessment.advice)}</p>}
    </>
  );
}

/** A boolean has no figure; its level says it all. */
function Figure({ assessment }: { assessment: CompleteAssessment }): JSX.Element | null {
  if (typeof assessment.value === "boolean") return null;
  return (
    <>
      <span class="figure">{formats.value.rate(assessment.value)}</span>
      {assessment.unit && <span class="unit"> {t(assessment.unit)}</span>}
    </>
  );
}

/** The averaged concentration behind an index. */
function Source({ assessment }: { assessment: CompleteAssessment }): JSX.Element | null {
  const { table } = useStore();
  const measurement = table.value.find(({ name }) => name === assessment.field);
  if (assessment.measured === assessment.value || !measurement?.unit) return null;
  return <span class="muted small">{t("assessment.from", { value: `${valueText(assessment.measured)} ${measurement.unit}` })}</span>;
}
