import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { AssessmentPoller } from "../../app/assessment-poller";
import { useApp, useDevice } from "../../app/context";
import { formats, t } from "../../i18n";
import { adviceText, figureText, indexText, levelText, measuredText, smallPrint } from "../../i18n/assessment-text";
import { doseRing } from "../../model/alarms/dose";
import type { Assessment, CompleteAssessment } from "../../model/devices/assessment";
import type { Device } from "../../model/devices/device";
import { severityOfOrder } from "../../model/devices/device-assessment";
import type { Measurement } from "../../model/wire";
import { DoseRing } from "./dose-ring";
import { LevelIcon } from "./level";

/** All assessments of a device, each with its standard. Empty when no standard covers its fields. */
export function AssessmentPanel({ device }: { device: Device }): JSX.Element | null {
  const app = useApp();
  const { store } = app;
  useDevice(device);
  useEffect(() => {
    const poller = new AssessmentPoller(app, device.id);
    return () => poller.close();
  }, [device]);
  const { assessments, at, isCurrent } = store.assessment(device);
  if (assessments.length === 0 || at === null) return null;
  return (
    <section class="panel assessments" id="assessments" aria-labelledby="assessments-title" data-current={isCurrent}>
      <h2 id="assessments-title">{t("assessment.title")}</h2>
      {!isCurrent && <p class="muted">{t("assessment.outdated", { time: formats.value.moment(at, store.now.peek()) })}</p>}
      <ul>{assessments.map((one) => <Row key={one.key} assessment={one} table={store.table.value} isCurrent={isCurrent} />)}</ul>
    </section>
  );
}

interface RowProps {
  readonly assessment: Assessment;
  readonly table: readonly Measurement[];
  readonly isCurrent: boolean;
}

function Row({ assessment, table, isCurrent }: RowProps): JSX.Element {
  const severity = assessment.complete && isCurrent ? severityOfOrder(assessment.order) : "none";
  return (
    <li data-severity={severity} data-complete={assessment.complete}>
      <h3>{indexText(assessment, table)}</h3>
      {assessment.complete ? (
        <Result assessment={assessment} table={table} isCurrent={isCurrent} />
      ) : (
        <p class="muted">{t("level.pending", { hours: assessment.hoursNeeded })}</p>
      )}
      <p class="standard">{smallPrint(assessment)}</p>
    </li>
  );
}

/** What to do is said only while the value is current. */
function Result({ assessment, table, isCurrent }: RowProps & { readonly assessment: CompleteAssessment }): JSX.Element {
  const [figure, unit] = figureText(assessment) ?? [];
  const measured = measuredText(assessment, table);
  const advice = isCurrent ? adviceText(assessment) : null;
  const ring = isCurrent ? doseRing([assessment]) : null;
  return (
    <>
      {ring && <DoseRing ring={ring} />}
      <p class="figures">
        <span class="value">
          {figure && <span class="figure">{figure}</span>}
          {unit && <span class="unit"> {unit}</span>}
        </span>
        {measured && <span class="muted small">{t("assessment.from", { value: measured })}</span>}
      </p>
      <p class="level" data-severity={isCurrent ? severityOfOrder(assessment.order) : "none"}>
        <LevelIcon level={assessment.level} />
        <span class="level-name">{levelText(assessment)}</span>
      </p>
      {advice && <p class="advice">{advice}</p>}
    </>
  );
}
