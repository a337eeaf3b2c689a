import type { Priority } from "../alarms/alarm";
import { severityOfPriority } from "../alarms/alarm";
import type { Condition } from "./condition";
import { conditionOf } from "./condition";
import type { Device, Presence } from "./device";
import type { DeviceAssessment } from "./device-assessment";
import { severityOfOrder } from "./device-assessment";
import type { Severity } from "./issues";
import { issuesOf, moreSevere, severityOf, severityRank } from "./issues";

export type StatusFilter = "all" | "attention" | "offline";

export interface DeviceFilter {
  readonly text: string;
  readonly status: StatusFilter;
}

/** The devices of one room, worst first. `site` and `room` are empty when unset. */
export interface RoomGroup {
  readonly site: string;
  readonly room: string;
  readonly score: number;
  readonly devices: readonly RankedDevice[];
}

export interface RankedDevice {
  readonly device: Device;
  readonly severity: Severity;
  /** Sort key: severity, then the order of the worst assessment. Held for a while after an improvement. */
  readonly score: number;
  readonly presence: Presence;
  readonly condition: Condition;
  /** The most urgent priority of its active alarms; null without any. */
  readonly alarm: Priority | null;
}

export interface DeviceCounts {
  readonly all: number;
  readonly online: number;
  readonly offline: number;
  readonly attention: number;
  readonly alarms: number;
}

export const HOLD_MS = 15_000;
const ORDER_COUNT = 8; // assessment orders 0 to 7

export const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Ranks devices. A score rises at once and falls only after `HOLD_MS`, so that cards do not jump. */
export class Ranking {
  readonly #held = new Map<string, { score: number; at: number }>();

  of(device: Device, assessed: DeviceAssessment, now: number, alarm: Priority | null = null): RankedDevice {
    const { order } = assessed;
    const issues = issuesOf(device);
    const condition = conditionOf(device, assessed, issues, now);
    const severity = [severityOfOrder(order), severityOfPriority(alarm)].reduce(moreSevere, severityOf(issues));
    const score = severityRank(severity) * ORDER_COUNT + Math.max(order, 0);
    const ranked = { device, severity, score, presence: device.presence(now), condition, alarm };
    const held = this.#held.get(device.id);
    if (held && score < held.score && now - held.at < HOLD_MS) return { ...ranked, score: held.score };
    if (score === 0) this.#held.delete(device.id);
    else this.#held.set(device.id, { score, at: now });
    return ranked;
  }

  delete(deviceId: string): void {
    this.#held.delete(deviceId);
  }
}

export function countDevices(ranked: readonly RankedDevice[]): DeviceCounts {
  const matching = (predicate: (one: RankedDevice) => boolean): number => ranked.filter(predicate).length;
  return {
    all: ranked.length,
    online: matching(({ presence }) => presence === "online"),
    offline: matching(({ presence }) => presence === "offline"),
    attention: matching(({ severity }) => severityRank(severity) >= severityRank("warning")),
    alarms: matching(({ severity }) => severity === "alarm"),
  };
}

export function matches({ device, severity, presence }: RankedDevice, filter: DeviceFilter): boolean {
  if (filter.status === "offline" && presence !== "offline") return false;
  if (filter.status === "attention" && severityRank(severity) < severityRank("warning")) return false;
  return hasWords(device, filter.text);
}

/** Whether the id, name or place of the device has every word. */
export function hasWords(device: Device, words: string): boolean {
  const texts = [device.id, device.name, device.record?.site, device.record?.room, device.record?.type];
  const searched = folded(texts.filter(Boolean).join("\n"));
  return folded(words).split(/\s+/).every((word) => searched.includes(word));
}

/** The text without differences of case and of spelling in Unicode. */
function folded(text: string): string {
  return text.toLowerCase().normalize("NFC");
}

/** Groups by site and room. The room with the worst device comes first, then by name; among equals, devices without a room last. */
export function groupByRoom(ranked: readonly RankedDevice[]): RoomGroup[] {
  const rooms = new Map<string, RankedDevice[]>();
  for (const one of ranked) {
    const key = JSON.stringify([one.device.record?.site ?? "", one.device.record?.room ?? ""]);
    const devices = rooms.get(key);
    if (devices) devices.push(one);
    else rooms.set(key, [one]);
  }
  const groups = [...rooms].map(([key, devices]) => {
    const [site, room] = JSON.parse(key) as [string, string];
    devices.sort((a, b) => b.score - a.score || byName.compare(a.device.name, b.device.name));
    return { site, room, score: devices[0]?.score ?? 0, devices };
  });
  return groups.sort(
    (a, b) =>
      b.score - a.score ||
      Number(hasNoRoom(a)) - Number(hasNoRoom(b)) ||
      byName.compare(a.site, b.site) ||
      byName.compare(a.room, b.room),
  );
}

function hasNoRoom({ site, room }: RoomGroup): boolean {
  return !site && !room;
}
