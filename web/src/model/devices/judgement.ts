/** How worrying each value of a device is, by the bridge's assessments, its alarms and the quality of the reading. */

import type { Priority } from "../alarms/alarm";
import { severityOfPriority } from "../alarms/alarm";
import type { CompleteAssessment } from "./assessment";
import type { Device } from "./device";
import type { DeviceAssessment } from "./device-assessment";
import { severityOfOrder } from "./device-assessment";
import type { Severity } from "./issues";
import { moreSevere, severityRank } from "./issues";

export interface Judgement {
  readonly severity: Severity;
  /** The worst assessment of the value; null without any that is current. */
  readonly assessment: CompleteAssessment | null;
}

/** By field; fields of which nothing is said are missing. */
export type Judgements = ReadonlyMap<string, Judgement>;

export const NOT_JUDGED: Judgements = new Map();

/** `alarms` has the most urgent priority of the active alarms by field. */
export function judgementsOf(device: Device, { isCurrent, assessments }: DeviceAssessment, alarms?: ReadonlyMap<string, Priority>): Judgements {
  const judged = new Map<string, Judgement>();
  const judge = (field: string, severity: Severity, assessment: CompleteAssessment | null = null): void => {
    const known = judged.get(field);
    const isWorse = assessment !== null && assessment.order > (known?.assessment?.order ?? -1);
    judged.set(field, { severity: moreSevere(known?.severity ?? "none", severity), assessment: isWorse ? assessment : known?.assessment ?? null });
  };
  if (isCurrent) for (const one of assessments) if (one.complete) judge(one.field, severityOfOrder(one.order), one);
  for (const [field, priority] of alarms ?? []) judge(field, severityOfPriority(priority));
  for (const [field, entry] of device.entries) if (entry.flag !== "" && !device.isStale(entry)) judge(field, "warning");
  return judged;
}

/** Whether a value of this severity comes first, and shows how it was judged. */
export function isWorrying(severity: Severity): boolean {
  return severityRank(severity) >= severityRank("notice");
}
