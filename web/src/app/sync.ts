import type { ApiClient } from "../api/client";
import type { LiveListener } from "../api/live-connection";
import { LiveConnection } from "../api/live-connection";
import { Poller } from "../api/poller";
import { Refresher } from "../api/refresher";
import type { AuthSession } from "../auth/session";
import type { Alarm } from "../model/alarms/alarm";
import type { AdvicePage } from "../model/analysis/advice";
import { isFresh, withAdvice } from "../model/analysis/advice";
import type { Transport } from "../model/bridge/connection";
import { DeliveryDelay } from "../model/bridge/delivery-delay";
import type { CommandRequest, CommandResult } from "../model/command";
import type { AssessmentReport } from "../model/devices/assessment";
import type { DeviceRecord, Reading } from "../model/wire";
import { parseSensorData, parseState } from "../model/wire";
import { AirScaleChoice } from "./air-scale";
import type { Painter } from "./paint";
import type { Store } from "./store";

const TICK_MS = 1000;
/** Time without a live connection before polling starts. */
const POLL_AFTER_MS = 5000;
/** A longer pause between ticks means that the computer slept. */
const SLEEP_THRESHOLD_MS = 20_000;
const DEVICES_INTERVAL_MS = 60_000;
const DEVICES_INTERVAL_WHILE_POLLING_MS = 10_000;
/** Without a live connection, and while the bridge itself does not know all alarms yet. */
const ALARMS_INTERVAL_MS = 3000;
const HEALTH_INTERVAL_MS = 10_000;
const HEALTH_INTERVAL_WHILE_FAILING_MS = 3000;
/** Modules of system events whose state `/health` has. */
const CHECKED_COMPONENTS: ReadonlySet<string> = new Set(["broker", "store"]);
/** A notice describes a moment; shown for longer, it would look like the current state. */
const NOTICE_LIFETIME_MS = 5 * 60_000;

/** More devices than have fresh advice at once. */
const MAX_ADVICE_PAGES = 5;

/** Functions that are called with every event. */
class Listeners<Event> {
  readonly #listeners = new Set<(event: Event) => void>();

  /** Returns a function that removes the listener. */
  add(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: Event): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** Keeps the store up to date: live connection, polling as the fallback, replay after a lost connection, and the registry. */
export class Sync {
  readonly readings = new Listeners<Reading>();
  /** The id of a device whose anomalies have changed. */
  readonly anomalies = new Listeners<string>();
  /** The id of a device that has new predictions. */
  readonly predictions = new Listeners<string>();
  readonly #store: Store;
  readonly #painter: Painter;
  readonly #api: ApiClient;
  readonly #session: AuthSession;
  readonly #live: LiveConnection;
  readonly #poller: Poller;
  readonly #refresher: Refresher;
  readonly #airScale: AirScaleChoice;
  readonly #alarmRefresher: Refresher;
  readonly #adviceRefresher: Refresher;
  readonly #delay = new DeliveryDelay();
  /** The newest cursor received; null before the first. */
  #cursor: number | null = null;
  #lostSince: number | null = Date.now();
  #wasConnected = false;
  #lastTick = Date.now();
  #refreshedAt = 0;
  #healthAt = 0;
  #alarmsAt = 0;

  constructor(base: URL, store: Store, painter: Painter, api: ApiClient, session: AuthSession) {
    this.#store = store;
    this.#painter = painter;
    this.#api = api;
    this.#session = session;
    this.#refresher = new Refresher(() => this.#refresh());
    this.#alarmRefresher = new Refresher(() => this.#loadAlarms());
    this.#adviceRefresher = new Refresher(() => this.#loadAdvice());
    this.#airScale = new AirScaleChoice(store, api, (reports) => this.applyAssessments(reports));
    this.#poller = this.#createPoller();
    this.#live = new LiveConnection(base, this.#liveListener(), () => this.#cursor, () => session.token);
  }

  start(): void {
    this.#session.onToken(({ text }) => this.#live.refreshToken(text));
    this.#refresher.request();
    this.#alarmRefresher.request();
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", () => this.#live.reconnect());
  }

  /** Applies a record that was changed on this page. */
  applyRecord(record: DeviceRecord): void {
    this.#store.fleet.applyRecord(record);
    this.#painter.schedule();
  }

  /** Forgets a device that was removed on this page. */
  forgetDevice(id: string): void {
    this.#store.fleet.forget(id);
    this.#painter.schedule();
  }

  /** Takes the bridge's assessments of some devices. */
  applyAssessments(reports: readonly AssessmentReport[]): void {
    for (const report of reports) if (this.#airScale.takes(report)) this.#store.assessments.put(report);
    this.#painter.schedule();
  }

  /** Judges the air by this index from now on; by that of the bridge if it is none. */
  chooseAirScale(scale: string): void {
    this.#airScale.choose(scale);
    this.#refresher.request();
  }

  /** Takes alarms as the bridge returned them. */
  applyAlarms(alarms: readonly Alarm[]): void {
    for (const alarm of alarms) this.#store.alarmBook.apply(alarm);
    this.#painter.alarmsChanged();
  }

  refreshAlarms(): void {
    this.#alarmRefresher.request();
  }

  /** Sends over the live connection, or over HTTP if that fails. The command's id makes both attempts the same command. */
  async sendCommand(request: CommandRequest): Promise<CommandResult> {
    if (this.#live.connected) {
      const result = await this.#live.sendCommand(request).catch(() => null);
      if (result) return result;
    }
    return this.#api.sendCommand(request);
  }

  #createPoller(): Poller {
    const { table } = this.#store;
    return new Poller(
      {
        readingsAfter: (cursor, limit) => this.#api.readingsAfter(cursor, limit, table.value),
        newestCursor: () => this.#loadDevices(),
      },
      {
        onOpen: () => this.#onOpen("http"),
        onReadings: (readings) => {
          for (const reading of readings) this.#onReading(reading);
        },
        onSkipped: (from, to) => this.#onGap(from, to, null),
        onClose: () => this.#onClose(),
      },
      () => this.#cursor,
    );
  }

  #liveListener(): LiveListener {
    const store = this.#store;
    return {
      onOpen: (transport) => {
        this.#poller.stop();
        this.#delay.reset();
        this.#onOpen(transport);
        store.updateConnection({ catchingUp: this.#cursor !== null });
      },
      onCaughtUp: (cursor) => {
        this.#advance(cursor);
        store.updateConnection({ catchingUp: false });
      },
      onTransport: (transport) => store.updateConnection({ transport }),
      onClose: () => {
        if (store.connection.peek().transport !== "http") this.#onClose();
      },
      onReading: (body, sentAt) => {
        if (sentAt !== null) this.#delay.observe(sentAt, Date.now());
        const reading = parseSensorData(body, store.table.value);
        if (reading) this.#onReading(reading);
      },
      onAssessment: (report) => this.applyAssessments([report]),
      onAlarm: (alarm) => this.applyAlarms([alarm]),
      onAlarms: (alarms) => {
        store.alarmBook.replace(alarms);
        this.#painter.alarmsChanged();
      },
      onAnomaly: (deviceId) => this.anomalies.tell(deviceId),
      onPrediction: (deviceId) => this.predictions.tell(deviceId),
      onAdvice: (advice) => {
        store.advice.value = withAdvice(store.advice.peek(), [advice]);
      },
      onDeviceStatus: (id, status, at) => {
        store.fleet.setStatus(id, status, at);
        this.#painter.schedule();
      },
      onDeviceState: (id, state) => {
        if (!store.fleet.setState(id, parseState(state))) this.#refresher.request();
        this.#painter.schedule();
      },
      onSystemEvent: (level, reason, module) => {
        if (CHECKED_COMPONENTS.has(module)) this.#healthAt = 0; // the banner says it, for as long as it lasts
        else store.notify({ kind: "system", level, reason });
      },
      onGap: (from, to, missed) => this.#onGap(from, to, missed),
      onAuthExpiring: (seconds) => this.#session.onExpiring(seconds),
      onUnauthorized: () => this.#session.reauthenticate(),
    };
  }

  /** Everything up to `cursor` was delivered. Last readings loaded with the registry do not count: older ones may be missing. */
  #advance(cursor: number): void {
    this.#cursor = Math.max(this.#cursor ?? 0, cursor);
  }

  #onReading(reading: Reading): void {
    const { fleet, trends, feed } = this.#store;
    this.#advance(reading.seq);
    fleet.applyReading(reading);
    trends.add(reading, this.#store.bridgeNow());
    if (feed.add(reading)) this.#painter.feedChanged();
    this.readings.tell(reading);
    this.#painter.schedule();
  }

  #onGap(from: number, to: number, missed: number | null): void {
    this.#advance(to);
    this.#store.feed.addGap(from, to, missed);
    this.#painter.feedChanged();
    this.#store.notify({ kind: "gap", missed });
    this.#invalidateHistory();
    this.#painter.schedule();
  }

  #invalidateHistory(): void {
    this.#store.trends.clear();
    this.#store.historyVersion.value++;
    this.#refresher.request();
  }

  #onOpen(transport: Transport): void {
    const lostForMs = this.#lostSince === null ? 0 : Date.now() - this.#lostSince;
    this.#lostSince = null;
    this.#store.updateConnection({ open: true, wasOpen: true, transport, lostAt: null });
    if (lostForMs > 0) this.#alarmRefresher.request();
    if (lostForMs > 0 && this.#store.notice.peek()?.kind === "system") this.#store.notice.value = null; // of a bridge that has been restarted
    if (this.#wasConnected && lostForMs > 0) this.#invalidateHistory();
    else if (lostForMs > 0) this.#refresher.request();
    this.#wasConnected = true;
  }

  #onClose(): void {
    if (this.#lostSince !== null) return;
    this.#lostSince = Date.now();
    this.#store.updateConnection({ open: false, transport: null, catchingUp: false, lostAt: this.#store.bridgeNow() });
  }

  async #loadAlarms(): Promise<void> {
    this.#alarmsAt = Date.now();
    if (this.#session.sharedView !== null) {
      this.#store.alarmBook.hide();
      this.#painter.alarmsChanged();
      return;
    }
    const { alarmBook } = this.#store;
    const load = alarmBook.beginLoad();
    try {
      const { alarms, isCatchingUp } = await this.#api.standingAlarms();
      alarmBook.endLoad(load, alarms, isCatchingUp);
    } catch (error) {
      alarmBook.abandonLoad(load);
      throw error;
    }
    this.#painter.alarmsChanged();
  }

  /** Loads what is fresh. */
  async #loadAdvice(): Promise<void> {
    const { advice } = this.#store;
    let before: string | null = null;
    for (let number = 0; number < MAX_ADVICE_PAGES; number++) {
      const page: AdvicePage = await this.#api.advice(before);
      const fresh = page.advice.filter((one) => isFresh(one, this.#store.bridgeNow()));
      if (fresh.length > 0) advice.value = withAdvice(advice.peek(), fresh);
      if (page.next === null || fresh.length < page.advice.length) return;
      before = page.next;
    }
  }

  /** Both are loaded at once, so that the first paint has both. Throws if either fails, after the other was taken. */
  async #refresh(): Promise<void> {
    this.#adviceRefresher.request();
    const assessments = this.#api.assessments([], this.#store.airScale.peek()).then((reports) => ({ reports }), (error: unknown) => ({ error }));
    await this.#loadDevices(assessments.then((loaded) => ("reports" in loaded ? loaded.reports : [])));
    const loaded = await assessments;
    if ("error" in loaded) throw loaded.error;
  }

  /** Returns the newest cursor among the devices' last readings. */
  async #loadDevices(assessments: Promise<readonly AssessmentReport[]> = Promise.resolve([])): Promise<number> {
    const store = this.#store;
    if (store.table.value.length === 0) store.table.value = await this.#api.measurements();
    this.#live.connect(); // readings can be parsed only once the table is loaded
    const { edits } = store.fleet;
    const records = await this.#api.devices(store.table.value);
    const reports = await assessments;
    store.fleet.load(records, edits);
    this.applyAssessments(reports);
    store.trends.retainOnly(store.fleet.devices);
    store.assessments.retainOnly(store.fleet.devices);
    let newest = 0;
    for (const { lastReading } of records) {
      if (lastReading === null) continue;
      newest = Math.max(newest, lastReading.seq);
      if (store.feed.add(lastReading)) this.#painter.feedChanged();
    }
    if (newest > 0) this.#cursor ??= newest;
    this.#refreshedAt = Date.now();
    store.loaded.value = true;
    this.#painter.schedule();
    return newest;
  }

  /** While the bridge does not respond, the banner about the connection says so. */
  async #loadHealth(now: number): Promise<void> {
    this.#healthAt = now;
    const components = await this.#api.components().catch(() => []);
    this.#store.failing.value = components.filter(({ up }) => !up);
  }

  #tick(): void {
    const store = this.#store;
    const now = Date.now();
    if (now - this.#lastTick > SLEEP_THRESHOLD_MS) this.#live.reconnectIfSilent();
    this.#lastTick = now;
    const notice = store.notice.peek();
    if (notice && store.bridgeNow() - notice.at > NOTICE_LIFETIME_MS) store.notice.value = null;
    if (this.#lostSince !== null && now - this.#lostSince > POLL_AFTER_MS) {
      store.fleet.clearStatuses();
      this.#poller.start();
    }
    const { delayMs, transport } = store.connection.peek();
    const interval = transport === "http" ? DEVICES_INTERVAL_WHILE_POLLING_MS : DEVICES_INTERVAL_MS;
    if (now - this.#refreshedAt > interval && !document.hidden && this.#lostSince === null) this.#refresher.request();
    const isAlarmPollDue = transport === "http" || store.alarmBook.knowledge === "catchingUp" || now - this.#alarmsAt > DEVICES_INTERVAL_MS;
    if (isAlarmPollDue && now - this.#alarmsAt > ALARMS_INTERVAL_MS) this.#alarmRefresher.request();
    const healthInterval = store.failing.peek().length > 0 ? HEALTH_INTERVAL_WHILE_FAILING_MS : HEALTH_INTERVAL_MS;
    if (now - this.#healthAt > healthInterval && !document.hidden) void this.#loadHealth(now);
    const delay = Math.round(this.#delay.milliseconds / 1000) * 1000;
    if (delay !== delayMs) store.updateConnection({ delayMs: delay });
    this.#painter.schedule();
  }
}
