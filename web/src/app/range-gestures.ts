import type { ReadonlySignal } from "@preact/signals";

import type { TimeRange, TimeSpan } from "../model/history/time-range";
import { LENGTHS, fixed, live, pan, zoom } from "../model/history/time-range";

/** What has a time range that people change. */
export interface Ranged {
  readonly range: { value: TimeRange; peek(): TimeRange };
  readonly span: ReadonlySignal<TimeSpan>;
}

/** Pointer gestures of charts, as changes of their range. `now` is the bridge's time. */
export function rangeGestures({ range, span }: Ranged, now: () => number): {
  zoomTo(chosen: TimeSpan): void;
  zoomBy(factor: number, around: number): void;
  panBy(fraction: number): void;
  toLive(): void;
} {
  return {
    zoomTo: (chosen) => (range.value = fixed(chosen, now())),
    zoomBy: (factor, around) => (range.value = zoom(range.peek(), factor, now(), around)),
    panBy: (fraction) => (range.value = pan(range.peek(), fraction, now())),
    toLive: () => {
      const { from, to } = span.peek();
      range.value = live(to - from);
    },
  };
}

/** Keyboard equivalents of the pointer gestures, on the region of the charts. */
export function onRangeKey(event: KeyboardEvent, { range: changed }: Ranged, now: number): void {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const range = changed.peek();
  const length = range.live ? range.length : range.span.to - range.span.from;
  const change = {
    ArrowLeft: () => pan(range, -0.25, now),
    ArrowRight: () => pan(range, 0.25, now),
    "+": () => zoom(range, 0.5, now),
    "=": () => zoom(range, 0.5, now),
    "-": () => zoom(range, 2, now),
    End: () => live(length),
    Home: () => live(LENGTHS["1y"]),
  }[event.key];
  if (!change) return;
  event.preventDefault();
  changed.value = change();
}
