/** The bridge's assessments of each device. The page only keeps them, and knows since when they are bad and whether they are current. */

import type { Assessment, AssessmentReport, CompleteAssessment } from "./assessment";
import type { Device } from "./device";
import { MAX_DEVICES } from "./fleet";
import type { Severity } from "./issues";

/** Not mentioned in `worst` while they are at level 0. */
const HAZARDS: ReadonlySet<string> = new Set(["index.lel.ch4", "index.lel.lpg", "index.co.now", "index.co.dose"]);
const MINUTE_MS = 60_000;
const MAX_AGE_MS = 10 * MINUTE_MS;
const MAX_AGE_INTERVALS = 3;
/** A rating that is new in a report was not there before, if the previous report is at most this much older. */
const GAPLESS_MS = 2 * MINUTE_MS;

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

/** The moment from which a value has been alarming; `isExact` if the page knows that it was not before. */
export interface Since {
  readonly at: number;
  readonly isExact: boolean;
}

interface Entry {
  readonly report: AssessmentReport;
  readonly alarming: ReadonlyMap<string, Since>;
  readonly current: DeviceAssessment;
  readonly outdated: DeviceAssessment;
}

const NOT_ASSESSED: DeviceAssessment = { assessments: [], at: null, isCurrent: false, order: -1, worst: null };

/** The newest report on each device, of at most `MAX_DEVICES`. */
export class AssessmentReports {
  readonly #entries = new Map<string, Entry>();
  #changed = new Set<string>();

  /** Ignores a report that is older than the one known. `measuredAt` is the time of the device's newest reading, if known. */
  put(report: AssessmentReport, measuredAt: number | null = null): void {
    const { deviceId } = report;
    const known = this.#entries.get(deviceId);
    if (known === undefined ? this.#entries.size >= MAX_DEVICES : report.at < known.report.at) return;
    this.#entries.set(deviceId, entryOf(report, measuredAt, known));
    this.#changed.add(deviceId);
  }

  of(device: Device, now: number): DeviceAssessment {
    const entry = this.#entries.get(device.id);
    if (entry === undefined) return NOT_ASSESSED;
    const heardAt = Math.max(entry.report.at, device.measuredAt ?? 0);
    return now - heardAt <= maxAge(device) ? entry.current : entry.outdated;
  }

  /** Since when an assessment has been alarming; null when it is not. */
  alarmingSince(deviceId: string, key: string): Since | null {
    return this.#entries.get(deviceId)?.alarming.get(key) ?? null;
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

/** Whether the newest reading stands for the air now. */
export function isFresh(device: Device, now: number): boolean {
  return device.measuredAt !== null && now - device.measuredAt <= maxAge(device);
}

function maxAge(device: Device): number {
  return Math.max(MAX_AGE_MS, MAX_AGE_INTERVALS * (device.intervalMs ?? 0));
}

function entryOf(report: AssessmentReport, measuredAt: number | null, before: Entry | undefined): Entry {
  const { assessments, at } = report;
  const complete = assessments.filter((one) => one.complete);
  const air = complete.filter(({ key, field, level }) => field !== "flameDetected" && (level !== 0 || !HAZARDS.has(key)));
  const isExact = before !== undefined && at - before.report.at <= GAPLESS_MS;
  const begin = { at: Math.min(at, measuredAt ?? at), isExact };
  const alarming = complete.filter(({ order }) => severityOfOrder(order) === "alarm");
  return {
    report,
    alarming: new Map(alarming.map(({ key }) => [key, before?.alarming.get(key) ?? begin])),
    current: { assessments, at, isCurrent: true, order: worstOf(complete)?.order ?? -1, worst: worstOf(air) },
    outdated: { ...NOT_ASSESSED, assessments, at },
  };
}

/** The first of the highest order. */
function worstOf(assessments: readonly CompleteAssessment[]): CompleteAssessment | null {
  return assessments.reduce<CompleteAssessment | null>((worst, one) => (one.order > (worst?.order ?? -1) ? one : worst), null);
}
