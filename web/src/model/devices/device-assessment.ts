/** The bridge's assessments of each device. The page only keeps them, and knows whether they are current. */

import type { Assessment, AssessmentReport, CompleteAssessment } from "./assessment";
import type { Device } from "./device";
import { MAX_DEVICES } from "./fleet";
import type { Severity } from "./issues";

/** Not mentioned in `worst` while they are at level 0. */
const HAZARDS: ReadonlySet<string> = new Set(["index.lel.ch4", "index.lel.lpg", "index.co.now", "index.co.dose"]);

/** By `order`, 0 to 7. */
const SEVERITIES: readonly Severity[] = ["none", "none", "notice", "warning", "warning", "alarm", "alarm", "alarm"];

export function severityOfOrder(order: number): Severity {
  return SEVERITIES[order] ?? "none";
}

export interface DeviceAssessment {
  readonly assessments: readonly Assessment[];
  /** When the bridge judged; null when it has not. */
  readonly at: number | null;
  /** Whether it stands for the air now. */
  readonly isCurrent: boolean;
  /** Sort key among devices: the order of the worst assessment; -1 without any, or when they are not current. */
  readonly order: number;
  /** The worst one for a one-word summary. Excludes flames, which have their own alarm, and hazards at level 0. */
  readonly worst: CompleteAssessment | null;
}

interface Entry {
  readonly report: AssessmentReport;
  readonly current: DeviceAssessment;
  readonly outdated: DeviceAssessment;
}

const NOT_ASSESSED: DeviceAssessment = { assessments: [], at: null, isCurrent: false, order: -1, worst: null };

/** The newest report on each device, of at most `MAX_DEVICES`. */
export class AssessmentReports {
  readonly #entries = new Map<string, Entry>();
  #changed = new Set<string>();

  /** Ignores a report that is older than the one known. */
  put(report: AssessmentReport): void {
    const { deviceId } = report;
    const known = this.#entries.get(deviceId);
    if (known === undefined ? this.#entries.size >= MAX_DEVICES : report.at < known.report.at) return;
    this.#entries.set(deviceId, entryOf(report));
    this.#changed.add(deviceId);
  }

  of(device: Device, now: number): DeviceAssessment {
    const entry = this.#entries.get(device.id);
    if (entry === undefined) return NOT_ASSESSED;
    const heardAt = Math.max(entry.report.at, device.measuredAt ?? 0);
    return device.isFreshSince(heardAt, now) ? entry.current : entry.outdated;
  }

  delete(deviceId: string): void {
    this.#entries.delete(deviceId);
  }

  retainOnly(devices: ReadonlyMap<string, Device>): void {
    for (const id of this.#entries.keys()) if (!devices.has(id)) this.#entries.delete(id);
  }

  /** The ids of the devices with a new report since the last call. */
  takeChangedIds(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }
}

function entryOf(report: AssessmentReport): Entry {
  const { assessments, at } = report;
  const complete = assessments.filter((one) => one.complete);
  const air = complete.filter(({ key, field, level }) => field !== "flameDetected" && (level !== 0 || !HAZARDS.has(key)));
  return {
    report,
    current: { assessments, at, isCurrent: true, order: worstOf(complete)?.order ?? -1, worst: worstOf(air) },
    outdated: { ...NOT_ASSESSED, assessments, at },
  };
}

/** The first of the highest order. */
function worstOf(assessments: readonly CompleteAssessment[]): CompleteAssessment | null {
  return assessments.reduce<CompleteAssessment | null>((worst, one) => (one.order > (worst?.order ?? -1) ? one : worst), null);
}
