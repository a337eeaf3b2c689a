import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { JSX, RefObject } from "preact";
import { useRef } from "preact/hooks";

export interface Outcome {
  readonly text: Signal<string>;
  readonly element: RefObject<HTMLParagraphElement | null>;
  /** Says what was done, and moves the focus there: the row with the button may be gone. */
  readonly tell: (text: string) => void;
}

export function useOutcome(): Outcome {
  const text = useSignal("");
  const element = useRef<HTMLParagraphElement>(null);
  const tell = (said: string): void => {
    text.value = said;
    requestAnimationFrame(() => element.current?.focus());
  };
  return { text, element, tell };
}

/** Below the heading of a view. */
export function OutcomeLine({ outcome }: { readonly outcome: Outcome }): JSX.Element {
  return <p class="outcome" role="status" tabIndex={-1} ref={outcome.element}>{outcome.text.value}</p>;
}
