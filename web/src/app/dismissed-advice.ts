import { computed, signal } from "@preact/signals";

import type { Advice } from "../model/analysis/advice";
import { Dismissed, isFresh } from "../model/analysis/advice";
import { loadPreference, savePreference } from "./preferences";
import type { Store } from "./store";

const KEY = "sensor-bridge.dismissedAdvice";

const dismissed = signal(new Dismissed(loadPreference(KEY)));
const ids = computed(() => new Set(dismissed.value.ids));

/** Hides the advice in this browser. */
export function dismissAdvice({ id }: Advice): void {
  dismissed.value = new Dismissed(loadPreference(KEY) ?? dismissed.peek().text).with(id);
  savePreference(KEY, dismissed.peek().text);
}

/** The advice for a device while it is fresh, unless it was dismissed here. */
export function shownAdvice(store: Store, deviceId: string): Advice | null {
  const advice = store.advice.value.get(deviceId);
  return advice !== undefined && isFresh(advice, store.minute.value) && !ids.value.has(advice.id) ? advice : null;
}
