import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { t } from "../../i18n";
import { Icon } from "../icon";

/** What can be done with a chart. Closes on Escape, after a choice, and when the focus or a click goes elsewhere. */
export function ChartMenu({ label, children }: { label: string; children: ComponentChildren }): JSX.Element {
  const root = useRef<HTMLDetailsElement>(null);
  const close = (): void => {
    if (root.current) root.current.open = false;
  };
  useEffect(() => {
    const onPointer = (event: PointerEvent): void => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) close();
    };
    addEventListener("pointerdown", onPointer);
    return () => removeEventListener("pointerdown", onPointer);
  }, []);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !root.current?.open) return;
    close();
    root.current.querySelector("summary")?.focus();
  };
  const onFocusOut = (event: FocusEvent): void => {
    if (event.relatedTarget instanceof Node && !root.current?.contains(event.relatedTarget)) close();
  };
  return (
    <details class="chart-menu" ref={root} onKeyDown={onKeyDown} onFocusOut={onFocusOut}>
      <summary class="icon-button" aria-label={t("chart.menu", { label })} title={t("chart.menu", { label })}><Icon name="more" /></summary>
      <div class="chart-menu-items" onClick={close}>{children}</div>
    </details>
  );
}
