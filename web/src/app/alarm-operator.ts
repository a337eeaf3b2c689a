import type { ReadonlySignal } from "@preact/signals";
import { computed, signal } from "@preact/signals";

import type { AlarmChange } from "../api/client";
import type { AlarmAction, RefusedAction } from "../model/alarms/actions";
import { MAX_AT_ONCE, allows, chunks } from "../model/alarms/actions";
import type { Alarm } from "../model/alarms/alarm";
import type { App } from "./app";

/** Requests under way at once, when the bridge takes one alarm at a time. */
const PARALLEL = 4;

export interface RefusedAlarm extends RefusedAction {
  readonly alarm: Alarm;
}

/** The alarms that are selected on a page, and what is done with them. */
export class AlarmOperator {
  readonly selected = signal<ReadonlySet<string>>(new Set());
  readonly isBusy = signal(false);
  /** Those with which the last action failed. */
  readonly refused = signal<readonly RefusedAlarm[]>([]);
  readonly mayAct: ReadonlySignal<boolean>;
  readonly #app: App;
  readonly #words: (error: unknown) => string;
  readonly #onDone: () => void;

  /** `words` says an error in the language of the page. `onDone` is called after an action. */
  constructor(app: App, words: (error: unknown) => string, onDone: () => void = () => undefined) {
    this.#app = app;
    this.#words = words;
    this.#onDone = onDone;
    this.mayAct = computed(() => app.session.can("command"));
  }

  select(ids: readonly string[], isSelected: boolean): void {
    const selected = new Set(this.selected.peek());
    for (const id of ids) {
      if (isSelected) selected.add(id);
      else selected.delete(id);
    }
    this.selected.value = selected;
  }

  clear(): void {
    this.selected.value = new Set();
  }

  /** Acts on those that allow it; those that succeed are no longer selected. */
  async act(alarms: readonly Alarm[], action: AlarmAction, change: AlarmChange = {}): Promise<void> {
    if (this.isBusy.peek()) return;
    const those = alarms.filter((one) => allows(one, action));
    this.isBusy.value = true;
    this.refused.value = [];
    const refused = action === "acknowledge" && those.length > 1 ? await this.#acknowledge(those, change) : await this.#change(those, action, change);
    const byId = new Map(those.map((one) => [one.id, one]));
    this.refused.value = refused.flatMap((one) => {
      const alarm = byId.get(one.id);
      return alarm ? [{ ...one, alarm }] : [];
    });
    const failed = new Set(refused.map(({ id }) => id));
    this.select(those.flatMap(({ id }) => (failed.has(id) ? [] : [id])), false);
    this.isBusy.value = false;
    this.#app.sync.refreshAlarms();
    this.#onDone();
  }

  async #acknowledge(alarms: readonly Alarm[], { comment }: AlarmChange): Promise<RefusedAction[]> {
    const refused: RefusedAction[] = [];
    for (const some of chunks(alarms.map(({ id }) => id), MAX_AT_ONCE)) {
      const more = await this.#app.api.acknowledgeAlarms(some, comment).catch((error: unknown) => some.map((id) => ({ id, reason: this.#words(error) })));
      refused.push(...more);
    }
    return refused;
  }

  async #change(alarms: readonly Alarm[], action: AlarmAction, change: AlarmChange): Promise<RefusedAction[]> {
    const refused: RefusedAction[] = [];
    for (const some of chunks(alarms, PARALLEL)) {
      await Promise.all(
        some.map(async ({ id }) => {
          try {
            const changed = await this.#app.api.changeAlarm(id, action, change);
            if (changed) this.#app.sync.applyAlarms([changed]);
          } catch (error) {
            refused.push({ id, reason: this.#words(error) });
          }
        }),
      );
    }
    return refused;
  }
}
