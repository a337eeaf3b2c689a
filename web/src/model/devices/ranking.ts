import { concernsOf, rank, severityOf, worse } from "./issues";
import type { Severity } from "./issues";
import type { Device } from "./device";
import { severityOfOrder } from "./assessment";

export type Show = "all" | "attention" | "offline";

export interface Filter {
  readonly text: string;
  readonly show: Show;
}

/** Devices of one place, the worst first. Both names are empty where nobody has said where the devices are. */
export interface Group {
  readonly site: string;
  readonly room: string;
  readonly standing: number;
  readonly devices: readonly Ranked[];
}

export interface Ranked {
  readonly device: Device;
  readonly severity: Severity;
  /** How bad it counts for the order of things: by severity, then by what its values mean. */
  readonly standing: number;
}

export interface Counts {
  readonly all: number;
  readonly online: number;
  readonly offline: number;
  readonly attention: number;
  readonly alarms: number;
}

export const CALM_MS = 15_000;
const ORDERS = 8;

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Where devices stand: a worse one goes up at once, a better one down only when it has been for a while, so nothing jumps. */
export class Standings {
  readonly #held = new Map<string, { standing: number; at: number }>();

  /** `order` is that of the worst judgement, -1 for none. */
  of(device: Device, order: number, now: number): Ranked {
    const severity = worse(severityOf(concernsOf(device)), severityOfOrder(order));
    const standing = rank(severity) * ORDERS + Math.max(order, 0);
    const held = this.#held.get(device.id);
    if (held && standing < held.standing && now - held.at < CALM_MS) return { device, severity, standing: held.standing };
    if (standing === 0) this.#held.delete(device.id);
    else this.#held.set(device.id, { standing, at: now });
    return { device, severity, standing };
  }

  forget(deviceId: string): void {
    this.#held.delete(deviceId);
  }
}

export function count(ranked: readonly Ranked[]): Counts {
  const having = (holds: (one: Ranked) => boolean): number => ranked.filter(holds).length;
  return {
    all: ranked.length,
    online: having(({ device }) => device.presence === "online"),
    offline: having(({ device }) => device.presence === "offline"),
    attention: having(({ severity }) => rank(severity) >= rank("warning")),
    alarms: having(({ severity }) => severity === "alarm"),
  };
}

export function matches({ device, severity }: Ranked, filter: Filter): boolean {
  if (filter.show === "offline" && device.presence !== "offline") return false;
  if (filter.show === "attention" && rank(severity) < rank("warning")) return false;
  const said = [device.id, device.record?.name, device.record?.site, device.record?.room, device.record?.type];
  const all = said.filter(Boolean).join("\n").toLowerCase();
  return filter.text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

/** By site and room: the place with the worst device first, then by name; devices of no known place at the end of their like. */
export function group(ranked: readonly Ranked[]): Group[] {
  const places = new Map<string, Ranked[]>();
  for (const one of ranked) {
    const place = JSON.stringify([one.device.record?.site ?? "", one.device.record?.room ?? ""]);
    const there = places.get(place);
    if (there) there.push(one);
    else places.set(place, [one]);
  }
  const groups = [...places].map(([place, devices]) => {
    const [site, room] = JSON.parse(place) as [string, string];
    devices.sort((a, b) => b.standing - a.standing || byName.compare(a.device.name, b.device.name));
    return { site, room, standing: devices[0]?.standing ?? 0, devices };
  });
  return groups.sort(
    (a, b) =>
      b.standing - a.standing ||
      Number(isNowhere(a)) - Number(isNowhere(b)) ||
      byName.compare(a.site, b.site) ||
      byName.compare(a.room, b.room),
  );
}

function isNowhere({ site, room }: Group): boolean {
  return !site && !room;
}
