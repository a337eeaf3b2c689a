import { useComputed } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../app/context";
import { ageText, formats } from "../i18n";

interface AgeProps {
  readonly at: number;
  /** False off screen: it is updated with the component around it. */
  readonly isLive?: boolean;
}

/** How long ago, updated every second; only the text node changes. */
export function Age({ at, isLive = true }: AgeProps): JSX.Element {
  const { now } = useStore();
  return (
    <time dateTime={new Date(at).toISOString()} title={formats.value.full(at)}>
      {isLive ? <AgeText key={at} at={at} now={now} /> : ageText(now.peek() - at)}
    </time>
  );
}

function AgeText({ at, now }: { at: number; now: { readonly value: number } }): JSX.Element {
  const text = useComputed(() => ageText(now.value - at));
  return <>{text}</>;
}
