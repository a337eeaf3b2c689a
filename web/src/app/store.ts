import type { Signal } from "@preact/signals";
import { computed, signal } from "@preact/signals";

import type { Alarm, Priority } from "../model/alarms/alarm";
import type { AlarmKnowledge } from "../model/alarms/book";
import { AlarmBook } from "../model/alarms/book";
import type { AdviceByDevice } from "../model/analysis/advice";
import { BridgeClock } from "../model/bridge/clock";
import type { Connection } from "../model/bridge/connection";
import { NOT_CONNECTED, troublesOf } from "../model/bridge/connection";
import type { DataFlow } from "../model/bridge/data-flow";
import type { ComponentStatus } from "../model/bridge/health";
import type { Command } from "../model/command";
import type { Refusal } from "../model/command-outcome";
import type { AirScale } from "../model/devices/assessment";
import type { Device } from "../model/devices/device";
import type { DeviceAssessment } from "../model/devices/device-assessment";
import { AssessmentReports } from "../model/devices/device-assessment";
import { Fleet } from "../model/devices/fleet";
import type { Headline } from "../model/devices/headline";
import type { Judgements } from "../model/devices/judgement";
import { judgementsOf } from "../model/devices/judgement";
import type { DeviceCounts, RankedDevice } from "../model/devices/ranking";
import { countDevices } from "../model/devices/ranking";
import { Feed } from "../model/feed";
import { MINUTE } from "../model/history/time-range";
import { Trends } from "../model/history/trend";
import type { Reason } from "../model/reason";
import type { EventLevel, Measurement } from "../model/wire";

export type NoticeContent =
  | { readonly kind: "system"; readonly level: EventLevel; readonly reason: Reason }
  | { readonly kind: "gap"; readonly missed: number | null }
  | { readonly kind: "sent"; readonly command: Command }
  | { readonly kind: "refused"; readonly reason: Refusal };
export type Notice = NoticeContent & { readonly at: number };

const CALM_MS = 5000;

/** The state of the page: a mutable model, and the signals through which components read it. */
export class Store {
  readonly clock = new BridgeClock();
  readonly fleet = new Fleet();
  readonly feed = new Feed();
  readonly trends = new Trends();
  readonly assessments = new AssessmentReports();
  readonly alarmBook = new AlarmBook();

  readonly table = signal<readonly Measurement[]>([]);
  readonly connection = signal<Connection>(NOT_CONNECTED);
  readonly notice = signal<Notice | null>(null);
  /** The components of the bridge that fail, as far as this user may see them. */
  readonly failing = signal<readonly ComponentStatus[]>([]);
  /** Whether readings arrive as they should, as far as this user sees the devices. */
  readonly flow = signal<DataFlow>({ kind: "flowing" });
  /** What is wrong with the bridge, the most severe first. */
  readonly troubles = computed(() => {
    const connection = this.connection.value;
    return troublesOf(connection, this.failing.value, this.flow.value, connection.open ? 0 : this.now.value);
  });
  /** The bridge's time, updated every second. */
  readonly now = signal(Date.now());
  /** The start of the bridge's current minute, for what changes slowly. */
  readonly minute = computed(() => Math.floor(this.now.value / MINUTE) * MINUTE);
  /** Changes every five seconds, for what is computed from many devices. */
  readonly calm = computed(() => Math.floor(this.now.value / CALM_MS));
  /** Every device with its rank; changes when a device is added, removed or ranked differently. */
  readonly ranked = signal<readonly RankedDevice[]>([]);
  readonly counts = signal<DeviceCounts>(countDevices([]));
  readonly headline = signal<Headline>({ severity: "none", statements: [{ kind: "alarmsUnknown" }] });
  /** The alarms that stand, hidden ones included, the most urgent first. A new array with every change of any alarm. */
  readonly alarms = signal<readonly Alarm[]>([]);
  readonly alarmKnowledge = signal<AlarmKnowledge>("unknown");
  /** The alarms that began to call for attention last. */
  readonly newAlarms = signal<readonly Alarm[]>([]);
  /** The newest advice of each device, stale advice included. */
  readonly advice = signal<AdviceByDevice>(new Map());
  /** The index by which this browser judges the air; null: that of the bridge. */
  readonly airScale = signal<AirScale | null>(null);
  /** Whether the registry has been loaded. */
  readonly loaded = signal(false);
  /** Grows with every change of the feed. */
  readonly feedVersion = signal(0);
  /** Whether readings arrive faster than anyone can read. */
  readonly feedIsBusy = signal(false);
  /** Grows when history must be reloaded: after a lost connection or a gap. */
  readonly historyVersion = signal(0);

  /** The fields with active alarms and their most urgent priority, by device. */
  alarmedFields: ReadonlyMap<string, ReadonlyMap<string, Priority>> = new Map();

  readonly #deviceVersions = new Map<string, Signal<number>>();
  readonly #calmVersions = new Map<string, Signal<number>>();

  bridgeNow(): number {
    return this.clock.at(Date.now());
  }

  device(id: string): Device | undefined {
    return this.fleet.devices.get(id);
  }

  assessment(device: Device): DeviceAssessment {
    return this.assessments.of(device, this.bridgeNow());
  }

  judgements(device: Device): Judgements {
    return judgementsOf(device, this.assessment(device), this.alarmedFields.get(device.id));
  }

  /** Grows with every change of the device. A component reads it to be rendered again. */
  deviceVersion(deviceId: string): Signal<number> {
    return versionIn(this.#deviceVersions, deviceId);
  }

  /** Grows every half minute: for what is off screen, and for what changes with time alone. */
  calmVersion(deviceId: string): Signal<number> {
    return versionIn(this.#calmVersions, deviceId);
  }

  notify(content: NoticeContent): void {
    this.notice.value = { ...content, at: this.bridgeNow() };
  }

  updateConnection(change: Partial<Connection>): void {
    this.connection.value = { ...this.connection.value, ...change };
  }

  /** Adds no version signal for devices that no component has read. */
  bumpVersions(deviceIds: Iterable<string>): void {
    bumpIn(this.#deviceVersions, deviceIds);
  }

  bumpCalmVersions(deviceIds: Iterable<string>): void {
    bumpIn(this.#calmVersions, deviceIds);
  }
}

function versionIn(versions: Map<string, Signal<number>>, deviceId: string): Signal<number> {
  const known = versions.get(deviceId);
  if (known) return known;
  const version = signal(0);
  versions.set(deviceId, version);
  return version;
}

function bumpIn(versions: ReadonlyMap<string, Signal<number>>, deviceIds: Iterable<string>): void {
  for (const id of deviceIds) {
    const version = versions.get(id);
    if (version) version.value++;
  }
}
