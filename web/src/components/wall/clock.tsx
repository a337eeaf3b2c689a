import { useComputed } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { formats } from "../../i18n";

/** The bridge's time and the date. */
export function Clock(): JSX.Element {
  const { minute } = useStore();
  const time = useComputed(() => formats.value.date(minute.value, { hour: "2-digit", minute: "2-digit" }));
  const day = useComputed(() => formats.value.date(minute.value, { weekday: "long", day: "numeric", month: "long" }));
  return (
    <p class="wall-clock">
      <time>{time}</time>
      <span>{day}</span>
    </p>
  );
}
