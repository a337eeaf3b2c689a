import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { loadPreference } from "../../app/preferences";
import { t } from "../../i18n";
import { chooseUnit } from "../../i18n/units";
import type { Quantity } from "../../model/units";
import { QUANTITIES } from "../../model/units";
import { lazy } from "../lazy";
import { closeFromOutside } from "./popover";

const UnitsForm = lazy(async () => (await import("./units-form")).UnitsForm);

export function keyOfUnit(quantity: Quantity): string {
  return `sensor-bridge.unit.${quantity}`;
}

/** The units that were chosen in this browser. */
export function loadPreferredUnits(): void {
  for (const quantity of QUANTITIES) chooseUnit(quantity, loadPreference(keyOfUnit(quantity)));
}

/** How this browser shows values: the units, and the index of the air. */
export function UnitsMenu(): JSX.Element {
  const details = useRef<HTMLDetailsElement>(null);
  const isOpen = useSignal(false);
  useEffect(() => closeFromOutside(details), []);
  return (
    <details class="popover units" ref={details} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>{t("units.label")}</summary>
      <div class="menu">{isOpen.value && <UnitsForm />}</div>
    </details>
  );
}
