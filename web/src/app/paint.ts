import type { Signal } from "@preact/signals";
import { batch } from "@preact/signals";

import type { Priority } from "../model/alarms/alarm";
import { dataFlow } from "../model/bridge/data-flow";
import { HeadlineWriter } from "../model/devices/headline";
import type { RankedDevice } from "../model/devices/ranking";
import { Ranking, countDevices } from "../model/devices/ranking";
import type { Store } from "./store";

/** Imperceptible, and a sixth of the cost of painting every frame at hundreds of readings per second. */
const PAINT_INTERVAL_MS = 100;
/** A hidden page shows its alarms in its title, and sounds them. */
const HIDDEN_ALARM_INTERVAL_MS = 1000;
/** In a flood, new alarms are told together. */
const NEWS_INTERVAL_MS = 2000;
const FEED_INTERVAL_MS = 250;
const BUSY_FEED_INTERVAL_MS = 1000;
/** New items between two paints of the feed. */
const BUSY_FEED_ITEMS = 20;
const RANKED_PER_PAINT = 50;
/** The time in which every device is rendered again, those off screen included. */
const REFRESH_MS = 30_000;

/** Publishes changes of the model to the store's signals: at most ten times a second, in an animation frame. */
export class Painter {
  readonly #store: Store;
  readonly #ranking = new Ranking();
  readonly #headlineWriter = new HeadlineWriter();
  readonly #rankedById = new Map<string, { readonly ranked: RankedDevice; readonly key: string }>();
  #pressing: ReadonlyMap<string, Priority> = new Map();
  #toldAt = Number.NEGATIVE_INFINITY;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #isScheduled = false;
  #paintedAt = 0;
  #refreshedAt = 0;
  #toRefresh: Iterator<string, undefined> = [][Symbol.iterator]();
  #toRank: Iterator<string, undefined> = [][Symbol.iterator]();
  #newFeedItems = 0;
  #feedPaintedAt = 0;

  constructor(store: Store) {
    this.#store = store;
    document.addEventListener("visibilitychange", () => this.schedule());
  }

  /** Browsers run no animation frames in hidden tabs, so a hidden page is not painted, except for its alarms. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const paint = (): void => {
      this.#isScheduled = false;
      this.#paintedAt = performance.now();
      batch(() => this.#paint());
    };
    const wait = this.#paintedAt + PAINT_INTERVAL_MS - performance.now();
    if (wait <= 0) requestAnimationFrame(paint);
    else setTimeout(() => requestAnimationFrame(paint), wait);
  }

  alarmsChanged(): void {
    this.schedule();
    if (!document.hidden || this.#hiddenTimer !== undefined) return;
    this.#hiddenTimer = setTimeout(() => {
      this.#hiddenTimer = undefined;
      batch(() => this.#paintAlarms());
    }, HIDDEN_ALARM_INTERVAL_MS);
  }

  feedChanged(): void {
    this.#newFeedItems++;
  }

  /** Paints these devices at once. */
  historyLoaded(deviceIds: readonly string[]): void {
    batch(() => {
      this.#rank(deviceIds, this.#store.bridgeNow());
      this.#store.bumpVersions(deviceIds);
    });
  }

  #paint(): void {
    const store = this.#store;
    const now = store.bridgeNow();
    const isNewSecond = Math.floor(now / 1000) !== Math.floor(store.now.peek() / 1000);
    const alarmsHaveChanged = this.#paintAlarms();
    const changed = new Set([...store.fleet.takeChangedIds(), ...store.assessments.takeChangedIds(), ...store.alarmBook.takeChangedDevices()]);
    if (isNewSecond) this.#paintSecond(now);
    const hasChanged = this.#rank(new Set([...changed, ...this.#nextToRank()]), now);
    if (hasChanged || alarmsHaveChanged || isNewSecond) this.#writeHeadline(now);
    store.bumpVersions(changed);
    store.bumpCalmVersions(this.#nextToRefresh());
    if (this.#newFeedItems > 0) this.#paintFeed(now, isNewSecond);
    else if (now - this.#feedPaintedAt > BUSY_FEED_INTERVAL_MS) store.feedIsBusy.value = false;
  }

  #paintSecond(now: number): void {
    const { fleet, flow, loaded } = this.#store;
    this.#store.now.value = now;
    if (loaded.peek()) replaceIfChanged(flow, dataFlow(fleet.devices.values(), now));
  }

  #paintAlarms(): boolean {
    const { alarmBook, alarms, alarmKnowledge } = this.#store;
    this.#tellNews();
    if (!alarmBook.takeChange()) return false;
    this.#pressing = alarmBook.pressing();
    this.#store.alarmedFields = alarmBook.pressingFields();
    alarms.value = alarmBook.sorted();
    alarmKnowledge.value = alarmBook.knowledge;
    return true;
  }

  #tellNews(): void {
    if (performance.now() - this.#toldAt < NEWS_INTERVAL_MS) return;
    const news = this.#store.alarmBook.takeNews();
    if (news.length === 0) return;
    this.#toldAt = performance.now();
    this.#store.newAlarms.value = news;
  }

  /** Ranks also change with time alone. A few devices per paint: ranking all 500 in one frame took 50 ms. */
  *#nextToRank(): Iterable<string> {
    const limit = Math.max(RANKED_PER_PAINT, Math.ceil(this.#store.fleet.devices.size / 10));
    for (let count = 0; count < limit; count++) {
      const { value, done } = this.#toRank.next();
      if (done) {
        this.#toRank = this.#store.fleet.devices.keys();
        return;
      }
      yield value;
    }
  }

  /** As many devices as it takes for each to be due once in `REFRESH_MS`, whatever the time between two paints. */
  *#nextToRefresh(): Iterable<string> {
    const { size } = this.#store.fleet.devices;
    const passed = Math.min(performance.now() - this.#refreshedAt, REFRESH_MS);
    const count = Math.floor((size * passed) / REFRESH_MS);
    if (count === 0) return;
    this.#refreshedAt = performance.now();
    for (let number = 0; number < count; number++) {
      let { value, done } = this.#toRefresh.next();
      if (done) {
        this.#toRefresh = [...this.#store.fleet.devices.keys()][Symbol.iterator]();
        ({ value, done } = this.#toRefresh.next());
      }
      if (done || value === undefined) return;
      yield value;
    }
  }

  /** Skips the frame of a new second, in which every age is repainted. */
  #paintFeed(now: number, isNewSecond: boolean): void {
    const isBusy = this.#newFeedItems > BUSY_FEED_ITEMS;
    if (isNewSecond || now - this.#feedPaintedAt < (isBusy ? BUSY_FEED_INTERVAL_MS : FEED_INTERVAL_MS)) {
      this.schedule();
      return;
    }
    this.#store.feedIsBusy.value = isBusy;
    this.#newFeedItems = 0;
    this.#feedPaintedAt = now;
    this.#store.feedVersion.value++;
  }

  /** Returns whether any device is ranked differently. */
  #rank(deviceIds: Iterable<string>, now: number): boolean {
    const { fleet, assessments, ranked, counts } = this.#store;
    let hasChanged = false;
    for (const id of deviceIds) {
      const device = fleet.devices.get(id);
      if (device === undefined || device.isRetired) {
        this.#ranking.delete(id);
        if (device === undefined) assessments.delete(id);
        hasChanged = this.#rankedById.delete(id) || hasChanged;
        continue;
      }
      const one = this.#ranking.of(device, assessments.of(device, now), now, this.#pressing.get(id) ?? null);
      const key = rankKey(one);
      if (this.#rankedById.get(id)?.key === key) continue;
      this.#rankedById.set(id, { ranked: one, key });
      hasChanged = true;
    }
    if (!hasChanged) return false;
    ranked.value = [...this.#rankedById.values()].map((entry) => entry.ranked);
    counts.value = countDevices(ranked.value);
    return true;
  }

  #writeHeadline(now: number): void {
    const { headline, ranked, alarms, alarmKnowledge } = this.#store;
    const standing = { alarms: alarms.peek(), knowledge: alarmKnowledge.peek() };
    replaceIfChanged(headline, this.#headlineWriter.of(ranked.peek(), standing, now));
  }
}

function replaceIfChanged<Value>(target: Signal<Value>, value: Value): void {
  if (JSON.stringify(value) !== JSON.stringify(target.peek())) target.value = value;
}

/** Everything that decides where a device is listed, and what the headline says of it. */
function rankKey({ device, severity, score, presence, condition, alarm }: RankedDevice): string {
  const { site, room, type } = device.record ?? {};
  return [device.id, severity, score, alarm, presence, device.name, site, room, type, ...Object.values(condition)].join("\t");
}
