/**
 * The index by which this browser judges the air. The bridge sends assessments by its own; by the other one, the page asks for
 * them: those of all devices now and then, those of a device whose rating has changed at once.
 */

import type { ApiClient } from "../api/client";
import { Refresher } from "../api/refresher";
import type { AssessmentReport } from "../model/devices/assessment";
import { asAirScale } from "../model/devices/assessment";
import { loadPreference, savePreference } from "./preferences";
import type { Store } from "./store";

const KEY = "sensor-bridge.index";
const MAX_DEVICES_AT_ONCE = 100;

export class AirScaleChoice {
  readonly #store: Store;
  readonly #changed = new Set<string>();
  readonly #refresher: Refresher;

  constructor(store: Store, api: ApiClient, apply: (reports: readonly AssessmentReport[]) => void) {
    this.#store = store;
    store.airScale.value = asAirScale(loadPreference(KEY));
    this.#refresher = new Refresher(async () => {
      const ids = [...this.#changed].slice(0, MAX_DEVICES_AT_ONCE);
      if (ids.length === 0) return;
      const reports = await api.assessments(ids, store.airScale.peek());
      for (const id of ids) this.#changed.delete(id);
      apply(reports);
      if (this.#changed.size > 0) this.#refresher.request();
    });
  }

  /** Anything but a scale follows the bridge. */
  choose(scale: string): void {
    savePreference(KEY, scale);
    this.#store.airScale.value = asAirScale(scale);
    this.#changed.clear();
  }

  /** Whether a report is by the chosen index; another one for its device is asked for if it is not. */
  takes({ deviceId, scale }: AssessmentReport): boolean {
    const wanted = this.#store.airScale.peek();
    if (wanted === null || scale === null || scale === wanted) return true;
    this.#changed.add(deviceId);
    this.#refresher.request();
    return false;
  }
}
