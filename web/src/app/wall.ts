import { computed, effect, signal } from "@preact/signals";

import { isCalling } from "../model/alarms/alarm";
import type { WallOptions } from "../model/wall/options";
import { Rotation } from "../model/wall/rotation";
import type { WallPage } from "../model/wall/wall-pages";
import { wallPages } from "../model/wall/wall-pages";
import type { App } from "./app";
import { PageVersion } from "./page-version";
import { ScreenLock } from "./screen-lock";

/** Wall mode: which room is shown, and a page that stays open for weeks. It keeps nothing that grows. */
export class Wall {
  readonly lock = new ScreenLock();
  readonly pages = computed<readonly WallPage[]>(() => wallPages(this.#app.store.ranked.value, this.#options));
  /** The pages that are held: those of devices with an urgent alarm that nobody has acknowledged. */
  readonly held = computed<ReadonlySet<string>>(() => {
    const devices = new Set(this.#app.store.alarms.value.filter(isCalling).map(({ deviceId }) => deviceId));
    if (devices.size === 0) return new Set();
    return new Set(this.pages.value.filter((page) => page.devices.some(({ device }) => devices.has(device.id))).map(({ key }) => key));
  });
  readonly isPaused = signal(false);
  readonly #key = signal<string | null>(null);
  readonly current = computed<WallPage | null>(() => this.pages.value.find(({ key }) => key === this.#key.value) ?? null);
  readonly isHeld = computed(() => this.current.value !== null && this.held.value.has(this.current.value.key));

  readonly #app: App;
  readonly #options: WallOptions;
  readonly #rotation: Rotation;
  readonly #version: PageVersion;

  constructor(app: App, base: URL, options: WallOptions) {
    this.#app = app;
    this.#options = options;
    this.#rotation = new Rotation(options.intervalMs);
    this.#version = new PageVersion(base);
  }

  /** Returns a function that ends everything that was started. */
  start(): () => void {
    const { store } = this.#app;
    let wasOpen = false;
    const stops = [
      this.lock.start(),
      this.#version.start(),
      effect(() => {
        store.now.value;
        this.#key.value = this.#rotation.step(performance.now(), this.#keys(), this.held.value);
      }),
      effect(() => {
        const { open } = store.connection.value;
        if (open && !wasOpen) this.#version.checkSoon();
        wasOpen = open;
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  togglePause(): void {
    this.isPaused.value = this.#rotation.isPaused = !this.isPaused.peek();
  }

  move(by: 1 | -1): void {
    const keys = this.#keys();
    this.#rotation.move(by, performance.now(), keys);
    this.#key.value = this.#rotation.step(performance.now(), keys, this.held.peek());
  }

  #keys(): string[] {
    return this.pages.value.map(({ key }) => key);
  }
}
