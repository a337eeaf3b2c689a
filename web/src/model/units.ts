/**
 * The units in which stored values are shown. Values are stored, and sent by the bridge, in the unit of their field; only what
 * people read is converted. A field or unit that is not here is shown as it is.
 */

/** The units of each quantity that people choose; the first is the stored one. */
export const UNITS = { temperature: ["°C", "°F"], pressure: ["hPa", "inHg", "mmHg"], gases: ["ppb", "µg/m³"] } as const;
export type Quantity = keyof typeof UNITS;
export const QUANTITIES = Object.keys(UNITS) as Quantity[];
export type ShownUnit = (typeof UNITS)[Quantity][number];
export type Units = { readonly [Q in Quantity]: (typeof UNITS)[Q][number] };

export const STORED_UNITS: Units = { temperature: "°C", pressure: "hPa", gases: "ppb" };

/** How a value in the stored unit becomes one in `unit`: times `scale`, plus `offset`. */
export interface Conversion {
  readonly unit: string;
  readonly scale: number;
  readonly offset: number;
}

/** Litres that a mole of gas has at 25 °C and 1013.25 hPa (US EPA, 40 CFR 50), as the bridge converts payloads; a test compares. */
const MOLE_LITRES = 24.45;
/** Grams per mole. TVOC is a mixture: 1 ppb is 4.6 µg/m³, the ratio at which sensor makers convert the German levels. */
const MOLAR_MASS: Readonly<Record<string, number>> = { no2: 46.006, o3: 47.998, so2: 64.066, hcho: 30.026, tvoc: 4.6 * MOLE_LITRES };
/** NIST SP 811. */
const HPA = { inHg: 33.8638867, mmHg: 1.33322387 } as const;
const DIGITS = 12;

const QUANTITY_OF: Readonly<Record<string, Quantity>> = {
  temperature: "temperature", pressure: "pressure", no2: "gases", o3: "gases", so2: "gases", hcho: "gases", tvoc: "gases",
};

/** The conversion of a field's values from their stored unit. Values of the field that are in another `unit` stay as they are. */
export function conversionOf(field: string, units: Units, unit?: string): Conversion {
  const quantity = Object.hasOwn(QUANTITY_OF, field) ? QUANTITY_OF[field] : undefined;
  const from = unit ?? (quantity === undefined ? "" : STORED_UNITS[quantity]);
  const stored: Conversion = { unit: from, scale: 1, offset: 0 };
  if (quantity === undefined || from !== STORED_UNITS[quantity]) return stored;
  if (quantity === "temperature") return units.temperature === "°F" ? { unit: "°F", scale: 1.8, offset: 32 } : stored;
  if (quantity === "pressure") return units.pressure === "hPa" ? stored : { unit: units.pressure, scale: 1 / HPA[units.pressure], offset: 0 };
  return units.gases === "ppb" ? stored : { unit: units.gases, scale: (MOLAR_MASS[field] ?? MOLE_LITRES) / MOLE_LITRES, offset: 0 };
}

export function isIdentity({ scale, offset }: Conversion): boolean {
  return scale === 1 && offset === 0;
}

/** A value in the unit of the conversion, without the noise of binary fractions. */
export function shown(value: number, conversion: Conversion): number {
  return isIdentity(conversion) ? value : rounded(value * conversion.scale + conversion.offset);
}

/** A difference of two values, such as an error or a jump. */
export function shownDifference(value: number, conversion: Conversion): number {
  return isIdentity(conversion) ? value : rounded(value * conversion.scale);
}

/** The stored value of one that a person typed in the unit of the conversion. */
export function stored(value: number, conversion: Conversion): number {
  return isIdentity(conversion) ? value : rounded((value - conversion.offset) / conversion.scale);
}

/** The chosen unit if it is one of the quantity's, else null. */
export function asUnit<Q extends Quantity>(quantity: Q, unit: string | null | undefined): Units[Q] | null {
  const known: readonly string[] = UNITS[quantity];
  return unit != null && known.includes(unit) ? (unit as Units[Q]) : null;
}

/** The units that the bridge shows by default, by its table of measurements. */
export function unitsOf(table: readonly { readonly unit: string; readonly shownUnit?: string }[]): Units {
  const found = <Q extends Quantity>(quantity: Q): Units[Q] => {
    const row = table.find(({ unit }) => unit === STORED_UNITS[quantity]);
    return asUnit(quantity, row?.shownUnit) ?? STORED_UNITS[quantity];
  };
  return { temperature: found("temperature"), pressure: found("pressure"), gases: found("gases") };
}

function rounded(value: number): number {
  return Number(value.toPrecision(DIGITS));
}
