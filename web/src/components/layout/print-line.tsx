import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { formats } from "../../i18n";

/** On paper: when it was printed, and from which bridge. */
export function PrintLine(): JSX.Element {
  const { minute } = useStore();
  return (
    <p class="print-only">
      {formats.value.date(minute.value, { dateStyle: "long", timeStyle: "short" })}
      <br />
      {location.origin + location.pathname}
    </p>
  );
}
