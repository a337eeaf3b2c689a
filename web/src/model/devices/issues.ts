/** Problems that a device reports itself. What its values mean is in `device-assessment.ts`. */

import type { Device } from "./device";

export type Severity = "alarm" | "warning" | "notice" | "none";

export type Issue =
  | { readonly kind: "flame"; readonly severity: "alarm"; readonly since: number }
  | { readonly kind: "offline"; readonly severity: "warning"; readonly since: number | null }
  | { readonly kind: "quality"; readonly severity: "warning"; readonly field: string; readonly flag: string }
  | { readonly kind: "battery"; readonly severity: "notice"; readonly percent: number }
  | { readonly kind: "clock"; readonly severity: "notice"; readonly flag: string };

export const LOW_BATTERY_PERCENT = 15;

const RANK: Readonly<Record<Severity, number>> = { alarm: 3, warning: 2, notice: 1, none: 0 };

export function severityRank(severity: Severity): number {
  return RANK[severity];
}

/** Most severe first. */
export function issuesOf(device: Device): Issue[] {
  const issues: Issue[] = [];
  const flame = device.entries.get("flameDetected");
  if (flame?.value === true && !flame.retained) issues.push({ kind: "flame", severity: "alarm", since: flame.measuredAt });
  if (device.isOffline) issues.push({ kind: "offline", severity: "warning", since: device.statusAt });
  for (const [field, entry] of device.entries) {
    if (entry.flag && !device.isStale(entry)) issues.push({ kind: "quality", severity: "warning", field, flag: entry.flag });
  }
  const battery = device.entries.get("battery")?.value;
  if (typeof battery === "number" && battery <= LOW_BATTERY_PERCENT) {
    issues.push({ kind: "battery", severity: "notice", percent: battery });
  }
  if (device.clockFlag) issues.push({ kind: "clock", severity: "notice", flag: device.clockFlag });
  return issues;
}

export function moreSevere(one: Severity, other: Severity): Severity {
  return RANK[other] > RANK[one] ? other : one;
}

export function severityOf(issues: readonly Issue[]): Severity {
  return issues.reduce<Severity>((worst, { severity }) => moreSevere(worst, severity), "none");
}
