import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";

import { errorText } from "./error-text";

export interface Action {
  readonly isBusy: Signal<boolean>;
  /** Why the last one failed; empty if it did not. */
  readonly error: Signal<string>;
  /** Runs one at a time; true if it succeeded. */
  readonly run: (action: () => Promise<unknown>) => Promise<boolean>;
}

/** Runs what a person asked for, and keeps the reason if that fails. */
export function useAction(): Action {
  const [isBusy, error] = [useSignal(false), useSignal("")];
  const run = async (action: () => Promise<unknown>): Promise<boolean> => {
    if (isBusy.peek()) return false;
    isBusy.value = true;
    error.value = "";
    try {
      await action();
      return true;
    } catch (failure) {
      error.value = errorText(failure);
      return false;
    } finally {
      isBusy.value = false;
    }
  };
  return { isBusy, error, run };
}
