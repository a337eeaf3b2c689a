/** The units of the page: as this browser has chosen, else as the bridge shows them. */

import { computed, signal } from "@preact/signals";

import type { Conversion, Quantity, Units } from "../model/units";
import { QUANTITIES, STORED_UNITS, asUnit, conversionOf, unitsOf } from "../model/units";
import type { Measurement } from "../model/wire";

const NO_CHOICE: { readonly [Q in Quantity]: Units[Q] | null } = { temperature: null, pressure: null, gases: null };

const ofBridge = signal<Units>(STORED_UNITS);
/** What this browser has chosen; null: as the bridge. */
export const chosenUnits = signal(NO_CHOICE);
export const bridgeUnits = computed(() => ofBridge.value);

const units = computed<Units>(() => ({
  temperature: chosenUnits.value.temperature ?? ofBridge.value.temperature,
  pressure: chosenUnits.value.pressure ?? ofBridge.value.pressure,
  gases: chosenUnits.value.gases ?? ofBridge.value.gases,
}));

/** Takes the defaults of the bridge from its table. */
export function setBridgeUnits(table: readonly Measurement[]): void {
  const found = unitsOf(table);
  if (QUANTITIES.some((one) => found[one] !== ofBridge.peek()[one])) ofBridge.value = found;
}

/** Anything but a unit of the quantity is no choice. */
export function chooseUnit(quantity: Quantity, unit: string | null): void {
  chosenUnits.value = { ...chosenUnits.peek(), [quantity]: asUnit(quantity, unit) };
}

/** How the page shows a field's values; `unit` is theirs, by default the stored unit of the field. */
export function shownAs(field: string, unit?: string): Conversion {
  return conversionOf(field, units.value, unit);
}
