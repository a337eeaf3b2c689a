/** Why a device is in alarm: for the banner. */

import type { CompleteAssessment } from "./assessment";
import type { Device } from "./device";
import type { DeviceAssessment, Since } from "./device-assessment";
import { severityOfOrder } from "./device-assessment";
import { issuesOf } from "./issues";

export interface Alarm {
  readonly device: Device;
  /** The worst assessment; null for a flame that the bridge does not judge any more, because no reading says that it is out. */
  readonly assessment: CompleteAssessment | null;
  readonly since: Since | null;
}

/** `sinceOf` is since when an assessment of the device, by its key, has been alarming. */
export function alarmOf(device: Device, { assessments, isCurrent }: DeviceAssessment, sinceOf: (key: string) => Since | null): Alarm {
  const complete = isCurrent ? assessments.filter((one) => one.complete) : [];
  const alarming = complete.filter(({ order }) => severityOfOrder(order) === "alarm");
  const flame = issuesOf(device).find((one) => one.kind === "flame");
  const assessment = (flame ? alarming.find(({ field }) => field === "flameDetected") : alarming[0]) ?? null;
  if (assessment !== null) return { device, assessment, since: sinceOf(assessment.key) };
  return { device, assessment, since: flame ? { at: flame.since, isExact: false } : null };
}

/** The worst first; a flame that nobody judges is the worst. */
export function byUrgency(one: Alarm, other: Alarm): number {
  const order = ({ assessment }: Alarm): number => assessment?.order ?? Number.POSITIVE_INFINITY;
  return order(one) === order(other) ? 0 : order(other) - order(one);
}
