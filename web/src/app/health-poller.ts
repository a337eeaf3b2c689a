import type { Signal } from "@preact/signals";
import { signal } from "@preact/signals";

import type { HealthSnapshot, Quarantine } from "../model/bridge/health";
import { Rates } from "../model/bridge/health";
import type { App } from "./app";

const INTERVAL_MS = 2000;
const POLLS_PER_LIST = 5;

/** Polls the bridge's health endpoints while the health page is open. */
export class HealthPoller {
  readonly snapshot: Signal<HealthSnapshot | null> = signal(null);
  readonly rates = new Rates();
  /** A rejected message may belong to any device, so restricted users do not see the quarantine. */
  readonly seesQuarantine: boolean;
  readonly #app: App;
  #polls = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(app: App) {
    this.#app = app;
    this.seesQuarantine = app.session.can("manage") && app.session.seesAllDevices;
    void this.#run();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async loadQuarantine(): Promise<Quarantine | null> {
    return this.#app.api.quarantine().catch(() => this.snapshot.peek()?.quarantine ?? null);
  }

  async #run(): Promise<void> {
    if (!document.hidden) await this.#poll();
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#run(), INTERVAL_MS);
  }

  /** A part that fails to load keeps its previous value. */
  async #poll(): Promise<void> {
    const { api } = this.#app;
    const before = this.snapshot.peek();
    const isListDue = this.#polls++ % POLLS_PER_LIST === 0;
    const [status, components, metrics, quarantine, ignoredKeys] = await Promise.all([
      api.status().catch(() => null),
      api.components().catch(() => null),
      api.metrics().catch(() => null),
      isListDue && this.seesQuarantine ? this.loadQuarantine() : before?.quarantine ?? null,
      isListDue ? api.ignoredKeys().catch(() => null) : null,
    ]);
    if (status) this.rates.add(status.ledger, performance.now());
    this.snapshot.value = {
      reachable: status !== null,
      components: components ?? before?.components ?? [],
      status: status ?? before?.status ?? null,
      metrics: metrics ?? before?.metrics ?? null,
      quarantine: quarantine ?? before?.quarantine ?? null,
      ignoredKeys: ignoredKeys ?? before?.ignoredKeys ?? [],
    };
  }
}
