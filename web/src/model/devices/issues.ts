/** What is the matter with a device, from its own words. What its values mean is in `meaning.ts`. */

import type { Device } from "./device";

export type Severity = "alarm" | "warning" | "notice" | "none";

export type Concern =
  | { readonly kind: "flame"; readonly severity: "alarm"; readonly since: number }
  | { readonly kind: "offline"; readonly severity: "warning"; readonly since: number | null }
  | { readonly kind: "quality"; readonly severity: "warning"; readonly field: string; readonly flag: string }
  | { readonly kind: "battery"; readonly severity: "notice"; readonly percent: number }
  | { readonly kind: "clock"; readonly severity: "notice"; readonly flag: string };

export const LOW_BATTERY_PERCENT = 15;

const RANK: Readonly<Record<Severity, number>> = { alarm: 3, warning: 2, notice: 1, none: 0 };

export function rank(severity: Severity): number {
  return RANK[severity];
}

/** The gravest first. */
export function concernsOf(device: Device): Concern[] {
  const concerns: Concern[] = [];
  const flame = device.entries.get("flameDetected");
  if (flame?.value === true && !flame.retained) concerns.push({ kind: "flame", severity: "alarm", since: flame.measuredAt });
  if (device.presence === "offline") concerns.push({ kind: "offline", severity: "warning", since: device.statusAt });
  for (const [field, entry] of device.entries) {
    if (entry.flag && !device.isLagging(entry)) concerns.push({ kind: "quality", severity: "warning", field, flag: entry.flag });
  }
  const battery = device.entries.get("battery")?.value;
  if (typeof battery === "number" && battery <= LOW_BATTERY_PERCENT) {
    concerns.push({ kind: "battery", severity: "notice", percent: battery });
  }
  if (device.clockFlag) concerns.push({ kind: "clock", severity: "notice", flag: device.clockFlag });
  return concerns;
}

export function worse(one: Severity, other: Severity): Severity {
  return RANK[other] > RANK[one] ? other : one;
}

export function severityOf(concerns: readonly Concern[]): Severity {
  return concerns.reduce<Severity>((worst, { severity }) => worse(worst, severity), "none");
}
