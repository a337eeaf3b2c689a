/** What a device adds to the headline of the overview. */

import type { Device } from "./device";
import type { DeviceAssessment } from "./device-assessment";
import { severityOfOrder } from "./device-assessment";
import type { Issue, Severity } from "./issues";
import { moreSevere, severityOf, severityRank } from "./issues";

export interface Condition {
  /** Needs attention for another reason than silence or stale air. */
  readonly needsAttention: boolean;
  /** CO2 or TVOC at level 2 or above. */
  readonly wantsAir: boolean;
  readonly isSilent: boolean;
  /** Online, fresh, and judged at the best level of every standard. */
  readonly isWell: boolean;
}

const AIR_FIELDS: ReadonlySet<string> = new Set(["co2", "tvoc"]);
const WANTS_AIR_LEVEL = 2;

export function conditionOf(device: Device, assessed: DeviceAssessment, issues: readonly Issue[], now: number): Condition {
  const complete = assessed.isCurrent ? assessed.assessments.filter((one) => one.complete) : [];
  const air = complete.filter(({ field }) => AIR_FIELDS.has(field));
  const others = complete.filter(({ field }) => !AIR_FIELDS.has(field));
  const severity = others.reduce<Severity>(
    (worst, { order }) => moreSevere(worst, severityOfOrder(order)),
    severityOf(issues.filter(({ kind }) => kind !== "offline")),
  );
  const isJudgedBest = complete.length > 0 && assessed.assessments.every((one) => one.complete && one.level === 0);
  return {
    needsAttention: severityRank(severity) >= severityRank("warning"),
    wantsAir: air.some(({ level }) => level >= WANTS_AIR_LEVEL),
    isSilent: device.isOffline,
    isWell: device.presence(now) === "online" && device.isFresh(now) && isJudgedBest && issues.length === 0,
  };
}
