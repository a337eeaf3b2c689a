import type { JSX } from "preact";

import { useApp } from "../../app/context";
import { savePreference } from "../../app/preferences";
import { t, unitName } from "../../i18n";
import { bridgeUnits, chooseUnit, chosenUnits } from "../../i18n/units";
import { AIR_SCALES } from "../../model/devices/assessment";
import type { Quantity } from "../../model/units";
import { QUANTITIES, UNITS } from "../../model/units";
import { keyOfUnit } from "./units-menu";

/** The choices of this browser; the first option of each follows the bridge. */
export function UnitsForm(): JSX.Element {
  return (
    <>
      {QUANTITIES.map((one) => <UnitSelect key={one} quantity={one} />)}
      <IndexSelect />
      <p class="muted small">{t("units.more")}</p>
    </>
  );
}

function UnitSelect({ quantity }: { quantity: Quantity }): JSX.Element {
  const select = (unit: string): void => {
    savePreference(keyOfUnit(quantity), unit);
    chooseUnit(quantity, unit);
  };
  return (
    <label>
      <span>{t(`units.${quantity}`)}</span>
      <select value={chosenUnits.value[quantity] ?? ""} onChange={(event) => select(event.currentTarget.value)}>
        <option value="">{t("units.default.unit", { unit: unitName(bridgeUnits.value[quantity]) })}</option>
        {UNITS[quantity].map((unit) => <option key={unit} value={unit}>{unitName(unit)}</option>)}
      </select>
    </label>
  );
}

function IndexSelect(): JSX.Element {
  const { store, sync } = useApp();
  return (
    <label>
      <span>{t("units.index")}</span>
      <select value={store.airScale.value ?? ""} onChange={(event) => sync.chooseAirScale(event.currentTarget.value)}>
        <option value="">{t("units.default")}</option>
        {AIR_SCALES.map((scale) => <option key={scale} value={scale}>{t(`units.index.${scale}`)}</option>)}
      </select>
    </label>
  );
}
