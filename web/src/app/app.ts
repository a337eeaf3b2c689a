import { batch, computed, signal } from "@preact/signals";
import type { Signal } from "@preact/signals";

import type { Access } from "../auth/session";
import { BridgeClock } from "../model/bridge/clock";
import type { Answer, CommandRequest } from "../model/command";
import type { Device } from "../model/devices/device";
import { Feed } from "../model/feed";
import { Fleet } from "../model/devices/fleet";
import type { Meaning } from "../model/devices/assessment";
import { HourBook, Meanings, hasHours } from "../model/devices/assessment";
import { Lag } from "../model/bridge/delivery-delay";
import type { Link, Via } from "../model/bridge/connection";
import { NO_LINK } from "../model/bridge/connection";
import type { Counts, Ranked } from "../model/devices/ranking";
import { Standings, count } from "../model/devices/ranking";
import { Trends } from "../model/history/trend";
import type { DeviceRecord, Level, Measurement, Reading } from "../model/wire";
import { parseSensorData } from "../model/wire";
import { Http } from "../api/client";
import { LiveConnection } from "../api/live-connection";
import { Poller } from "../api/poller";
import { Refresher } from "../api/refresher";
import { SightReader, hourLoader, trendLoader } from "../api/history-loader";

const TICK_MS = 1000;
const LOST_MS = 5000;
const SLEPT_MS = 20_000;
const DEVICES_EVERY_MS = 60_000;
const POLLED_DEVICES_EVERY_MS = 10_000;
const NOTICE_STAYS_MS = 5 * 60_000;
/** Sooner than anyone sees, and a sixth of what a paint at every frame costs when hundreds of readings come a second. */
const PAINT_MS = 100;
const FEED_PAINT_MS = 250;
const FEED_RUSH_PAINT_MS = 1000;
const FEED_RUSH = 20;
const RANKED_AT_ONCE = 50;
const TRENDS_AT_ONCE = 25;
const HOURS_AT_ONCE = 10;
const HOUR_MS = 3_600_000;

export type News = { readonly kind: "system"; readonly level: Level; readonly message: string } | { readonly kind: "gap"; readonly missed: number | null };
/** It tells of a moment; left standing, it would look like the state of things now. */
export type Notice = News & { readonly at: number };
export type Hear = (reading: Reading) => void;

/** All that an open page is: what comes from the bridge changes the model, and once per frame the signals tell the views. */
export class App {
  readonly http: Http;
  readonly access: Access;
  readonly fleet = new Fleet();
  readonly feed = new Feed();
  readonly trends = new Trends();

  readonly table = signal<readonly Measurement[]>([]);
  readonly link = signal<Link>(NO_LINK);
  readonly notice = signal<Notice | null>(null);
  /** The bridge's time, every second. */
  readonly now: Signal<number>;
  readonly hour = computed(() => Math.floor(this.now.value / HOUR_MS));
  /** All devices with how bad they are; changes when one comes, goes, or is better or worse. */
  readonly ranked = signal<readonly Ranked[]>([]);
  readonly counts = signal<Counts>(count([]));
  readonly loaded = signal(false);
  /** Counts the changes of the feed. */
  readonly feedVersion = signal(0);
  /** Faster than anybody reads. */
  readonly feedRushes = signal(false);
  /** Counts the times at which history must be read anew: a connection was lost, or something was not sent. */
  readonly healed = signal(0);

  readonly #clock = new BridgeClock();
  readonly #lag = new Lag();
  readonly #standings = new Standings();
  readonly #versions = new Map<string, Signal<number>>();
  readonly #hearing = new Set<Hear>();
  readonly #live: LiveConnection;
  readonly #poller: Poller;
  readonly #refresher: Refresher;
  readonly #hours = new HourBook();
  readonly #meanings = new Meanings(this.#hours);
  readonly #trendReader: SightReader;
  readonly #hourReader: SightReader;
  /** The newest that this page has; null: nothing yet, and nobody has said where it begins. */
  #cursor: number | null = null;
  #frameAsked = false;
  #paintedAt = 0;
  #toRank: Iterator<string, undefined> = [][Symbol.iterator]();
  #feedNews = 0;
  #feedPaintedAt = 0;
  #lostSince: number | null;
  #hadConnection = false;
  #lastTick: number;
  #refreshedAt = 0;
  readonly #rankedById = new Map<string, { readonly ranked: Ranked; readonly key: string }>();

  constructor(base: URL, access: Access) {
    this.access = access;
    this.#lastTick = Date.now();
    this.#lostSince = this.#lastTick;
    this.now = signal(this.#lastTick);
    this.http = new Http(base, (bridgeNow) => this.#clock.observe(bridgeNow, Date.now()), () => access.admit());
    const now = (): number => this.bridgeNow();
    const table = (): readonly Measurement[] => this.table.peek();
    this.#trendReader = this.#sightReader(trendLoader(this.http, this.trends, now, table), TRENDS_AT_ONCE);
    this.#hourReader = this.#sightReader(hourLoader(this.http, this.#hours, now, table), HOURS_AT_ONCE);
    this.#refresher = new Refresher(async () => void (await this.#refresh()));
    this.#poller = new Poller(
      {
        after: (cursor, limit) => this.http.after(cursor, limit, this.table.value),
        newest: () => this.#refresh(),
      },
      {
        opened: () => this.#opened("http"),
        readings: (readings) => {
          for (const reading of readings) this.#hear(reading);
        },
        skipped: (from, to) => this.#missed(from, to, null),
        closed: () => this.#closed(),
      },
      () => this.#cursor,
    );
    this.#live = this.#connect(base);
    access.onToken(({ text }) => this.#live.refresh(text));
    this.#refresher.ask();
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", () => this.#live.reconnect());
    document.addEventListener("visibilitychange", () => this.#paintSoon());
  }

  bridgeNow(): number {
    return this.#clock.at(Date.now());
  }

  /** Changes whenever the device does; read it to be drawn again. */
  version(deviceId: string): Signal<number> {
    const known = this.#versions.get(deviceId);
    if (known) return known;
    const version = signal(0);
    this.#versions.set(deviceId, version);
    return version;
  }

  device(id: string): Device | undefined {
    return this.fleet.devices.get(id);
  }

  /** The last hour of a device whose card is in sight, until what is returned is called. */
  wantTrend(device: Device): () => void {
    return this.trends.has(device.id) ? () => undefined : this.#trendReader.want(device);
  }

  /** The hours of its last day, for what is judged by them, in the same way. */
  wantHours(device: Device): () => void {
    return !hasHours(device) || this.#hours.isFresh(device.id, this.bridgeNow()) ? () => undefined : this.#hourReader.want(device);
  }

  meaning(device: Device): Meaning {
    return this.#meanings.of(device, this.bridgeNow());
  }

  /** Calls with every reading from now on, until what is returned is called. */
  onReading(hear: Hear): () => void {
    this.#hearing.add(hear);
    return () => this.#hearing.delete(hear);
  }

  /** What someone changed here or elsewhere. */
  know(record: DeviceRecord): void {
    this.fleet.know(record);
    this.#paintSoon();
  }

  /** By the live connection; by HTTP where there is none, or it does not answer: the id makes both the same command. */
  async send(request: CommandRequest): Promise<Answer> {
    if (this.#live.connected) {
      const answer = await this.#live.send(request).catch(() => null);
      if (answer) return answer;
    }
    return this.http.command(request);
  }

  #sightReader(load: (devices: readonly Device[]) => Promise<void>, atOnce: number): SightReader {
    const loadAndShow = async (devices: readonly Device[]): Promise<void> => {
      await load(devices);
      const ids = devices.map(({ id }) => id);
      batch(() => {
        this.#rank(ids, this.bridgeNow());
        this.#show(ids);
      });
    };
    return new SightReader(loadAndShow, atOnce);
  }

  #connect(base: URL): LiveConnection {
    return new LiveConnection(
      base,
      {
        opened: (via) => {
          this.#poller.stop();
          this.#lag.forget();
          this.#opened(via);
          this.#setLink({ catchingUp: this.#cursor !== null });
        },
        caughtUp: (cursor) => {
          this.#advance(cursor);
          this.#setLink({ catchingUp: false });
        },
        via: (via) => this.#setLink({ via }),
        closed: () => {
          if (this.link.peek().via !== "http") this.#closed();
        },
        sensorData: (body, sentAt) => {
          if (sentAt !== null) this.#lag.observe(sentAt, Date.now());
          const reading = parseSensorData(body, this.table.value);
          if (reading) this.#hear(reading);
        },
        deviceStatus: (id, status, at) => {
          this.fleet.setStatus(id, status, at);
          this.#paintSoon();
        },
        systemEvent: (level, message) => this.#notify({ kind: "system", level, message }),
        gap: (from, to, missed) => this.#missed(from, to, missed),
        expiring: (seconds) => this.access.expiring(seconds),
        unknown: () => this.access.admit(),
      },
      () => this.#cursor,
      () => this.access.token,
    );
  }

  /** Whatever is before it this page has been sent. What is only looked up, such as the devices' last readings, moves nothing. */
  #advance(cursor: number): void {
    this.#cursor = Math.max(this.#cursor ?? 0, cursor);
  }

  #hear(reading: Reading): void {
    this.#advance(reading.seq);
    this.fleet.hear(reading);
    this.trends.hear(reading, this.bridgeNow());
    this.#feedNews += Number(this.feed.add(reading));
    for (const hear of this.#hearing) hear(reading);
    this.#paintSoon();
  }

  #missed(from: number, to: number, missed: number | null): void {
    this.#advance(to);
    this.feed.addGap(from, to, missed);
    this.#feedNews++;
    this.#notify({ kind: "gap", missed });
    this.#heal();
    this.#paintSoon();
  }

  #notify(news: News): void {
    this.notice.value = { ...news, at: this.bridgeNow() };
  }

  #heal(): void {
    this.trends.forget();
    this.#hours.doubt();
    this.healed.value++;
    this.#refresher.ask();
  }

  #opened(via: Via): void {
    const lostFor = this.#lostSince === null ? 0 : Date.now() - this.#lostSince;
    this.#lostSince = null;
    this.#setLink({ open: true, known: true, via, lostAt: null });
    if (this.#hadConnection && lostFor > 0) this.#heal();
    else if (lostFor > 0) this.#refresher.ask();
    this.#hadConnection = true;
  }

  #closed(): void {
    if (this.#lostSince !== null) return;
    this.#lostSince = Date.now();
    this.#setLink({ open: false, via: null, catchingUp: false, lostAt: this.bridgeNow() });
  }

  #setLink(change: Partial<Link>): void {
    this.link.value = { ...this.link.value, ...change };
  }

  /** The newest cursor of what was read. */
  async #refresh(): Promise<number> {
    if (this.table.value.length === 0) this.table.value = await this.http.measurements();
    this.#live.connect(); // without the table a reading could not be read
    const records = await this.http.devices(this.table.value);
    this.fleet.load(records);
    this.trends.keepOnly(this.fleet.devices);
    this.#hours.keepOnly(this.fleet.devices);
    let newest = 0;
    for (const { lastReading } of records) {
      if (lastReading === null) continue;
      newest = Math.max(newest, lastReading.seq);
      this.#feedNews += Number(this.feed.add(lastReading));
    }
    if (newest > 0) this.#cursor ??= newest;
    this.#refreshedAt = Date.now();
    this.loaded.value = true;
    this.#paintSoon();
    return newest;
  }

  #tick(): void {
    const now = Date.now();
    if (now - this.#lastTick > SLEPT_MS) this.#live.reconnectIfSilent();
    this.#lastTick = now;
    const notice = this.notice.peek();
    if (notice && this.bridgeNow() - notice.at > NOTICE_STAYS_MS) this.notice.value = null;
    if (this.#lostSince !== null && now - this.#lostSince > LOST_MS) {
      this.fleet.forgetStatuses();
      this.#poller.start();
    }
    const { lagMs, via } = this.link.peek();
    const refreshEvery = via === "http" ? POLLED_DEVICES_EVERY_MS : DEVICES_EVERY_MS;
    if (now - this.#refreshedAt > refreshEvery && !document.hidden && this.#lostSince === null) this.#refresher.ask();
    const lag = Math.round(this.#lag.milliseconds / 1000) * 1000;
    if (lag !== lagMs) this.#setLink({ lagMs: lag });
    this.#paintSoon();
  }

  /** However many events come, one paint in a while, with an animation frame; none while nobody looks. */
  #paintSoon(): void {
    if (this.#frameAsked) return;
    this.#frameAsked = true;
    const paint = (): void => {
      this.#frameAsked = false;
      this.#paintedAt = performance.now();
      batch(() => this.#paint());
    };
    const wait = this.#paintedAt + PAINT_MS - performance.now();
    if (wait <= 0) requestAnimationFrame(paint);
    else setTimeout(() => requestAnimationFrame(paint), wait);
  }

  #paint(): void {
    const now = this.bridgeNow();
    const second = Math.floor(now / 1000);
    const isNewSecond = second !== Math.floor(this.now.peek() / 1000);
    const changed = this.fleet.takeChanged();
    if (isNewSecond) this.now.value = now;
    this.#rank(new Set([...changed, ...this.#nextToRank()]), now);
    this.#show(changed);
    if (this.#feedNews > 0) this.#paintFeed(now, isNewSecond);
    else if (now - this.#feedPaintedAt > FEED_RUSH_PAINT_MS) this.feedRushes.value = false;
  }

  /** Time alone moves devices too. A few at a time: all 500 in one frame took 50 ms. */
  *#nextToRank(): Iterable<string> {
    const most = Math.max(RANKED_AT_ONCE, Math.ceil(this.fleet.devices.size / 10));
    for (let count = 0; count < most; count++) {
      const { value, done } = this.#toRank.next();
      if (done) {
        this.#toRank = this.fleet.devices.keys();
        return;
      }
      yield value;
    }
  }

  /** Not in the frame of a new second, in which every age is painted. */
  #paintFeed(now: number, isNewSecond: boolean): void {
    const rushes = this.#feedNews > FEED_RUSH;
    if (isNewSecond || now - this.#feedPaintedAt < (rushes ? FEED_RUSH_PAINT_MS : FEED_PAINT_MS)) {
      this.#paintSoon();
      return;
    }
    this.feedRushes.value = rushes;
    this.#feedNews = 0;
    this.#feedPaintedAt = now;
    this.feedVersion.value++;
  }

  #show(deviceIds: Iterable<string>): void {
    for (const id of deviceIds) {
      const version = this.#versions.get(id);
      if (version) version.value++;
    }
  }

  #rank(deviceIds: Iterable<string>, now: number): void {
    let changed = false;
    for (const id of deviceIds) {
      const device = this.fleet.devices.get(id);
      if (device === undefined) {
        this.#standings.forget(id);
        this.#meanings.forget(id);
        changed = this.#rankedById.delete(id) || changed;
        continue;
      }
      const ranked = this.#standings.of(device, this.#meanings.of(device, now).order, now);
      const key = rankKey(ranked);
      if (this.#rankedById.get(id)?.key === key) continue;
      this.#rankedById.set(id, { ranked, key });
      changed = true;
    }
    if (!changed) return;
    this.ranked.value = [...this.#rankedById.values()].map(({ ranked }) => ranked);
    this.counts.value = count(this.ranked.value);
  }
}

/** What decides where a device stands. */
function rankKey({ device, severity, standing }: Ranked): string {
  const { name, site, room, type } = device.record ?? {};
  return [device.id, severity, standing, device.presence, name, site, room, type].join("\t");
}
