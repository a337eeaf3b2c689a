import { useComputed } from "@preact/signals";
import type { JSX } from "preact";

import { ageText, formats } from "../i18n";
import { useApp } from "../app/context";

/** How long ago, kept up to date; only this text changes with the seconds. */
export function Age({ at }: { at: number }): JSX.Element {
  const { now } = useApp();
  return (
    <time dateTime={new Date(at).toISOString()} title={formats.value.full(at)}>
      <AgeText key={at} at={at} now={now} />
    </time>
  );
}

function AgeText({ at, now }: { at: number; now: { readonly value: number } }): JSX.Element {
  const text = useComputed(() => ageText(now.value - at));
  return <>{text}</>;
}
