/** Assessments by the German guide values for indoor air, set by the Ad-hoc-Arbeitsgruppe of Umweltbundesamt (UBA) and Länder.
 *
 * - CO2: Bundesgesundheitsblatt 51 (2008) 1358: below 1,000 ppm hygienically harmless, up to 2,000 ppm conspicuous, above that
 *   unacceptable.
 * - TVOC: Bundesgesundheitsblatt 50 (2007) 990: five levels, ending at 0.3, 1, 3, 10 and 25 mg/m³. Sensor manufacturers give
 *   these as 65, 220, 660, 2,200 and 5,500 ppb. The conversion is theirs: it assumes the same mixture of substances in every room.
 * - The index 1 to 5 of some sensors (`aqiScale` "uba") is the manufacturer's estimate of the same five levels.
 */

import type { AdviceKey, CompleteAssessment, Indicator, Level, LevelKey } from "./assessment";

interface Class {
  readonly level: Level;
  readonly levelKey: LevelKey;
  readonly advice: AdviceKey;
}

const CO2_CONSPICUOUS_PPM = 1000;
const CO2_UNACCEPTABLE_PPM = 2000;
const CO2_CLASSES = {
  harmless: { level: 0, levelKey: "level.co2.harmless", advice: "advice.none" },
  conspicuous: { level: 2, levelKey: "level.co2.conspicuous", advice: "advice.co2.conspicuous" },
  unacceptable: { level: 3, levelKey: "level.co2.unacceptable", advice: "advice.co2.unacceptable" },
} as const satisfies Record<string, Class>;

/** Upper ends of TVOC levels 1 to 4, in ppb. Anything above is level 5, even above its own end at 5,500. */
export const TVOC_ENDS_PPB = [65, 220, 660, 2200] as const;
const UBA_LEVELS: readonly Class[] = [
  { level: 0, levelKey: "level.uba.1", advice: "advice.none" },
  { level: 1, levelKey: "level.uba.2", advice: "advice.uba.2" },
  { level: 2, levelKey: "level.uba.3", advice: "advice.uba.3" },
  { level: 3, levelKey: "level.uba.4", advice: "advice.uba.4" },
  { level: 4, levelKey: "level.uba.5", advice: "advice.uba.5" },
];

const CO2: Indicator = {
  key: "index.co2",
  standard: "standard.ubaCo2",
  field: "co2",
  unit: "unit.ppm",
  averaging: "averaging.latest",
  indicative: false,
  note: null,
};
const ECO2: Indicator = { ...CO2, key: "index.eco2", field: "eco2", indicative: true, note: "note.eco2" };
const TVOC: Indicator = {
  key: "index.tvoc",
  standard: "standard.ubaTvoc",
  field: "tvoc",
  unit: null,
  averaging: "averaging.latest",
  indicative: true,
  note: "note.tvoc",
};
const DEVICE_INDEX: Indicator = {
  key: "index.device.uba",
  standard: "standard.ubaDevice",
  field: "aqi",
  unit: null,
  averaging: "averaging.device",
  indicative: true,
  note: "note.deviceIndex",
};

export function co2(ppm: number): CompleteAssessment {
  return assessed(CO2, ppm, ppm, co2Class(ppm));
}

/** CO2 equivalent, estimated by a sensor of organic compounds. */
export function eco2(ppm: number): CompleteAssessment {
  return assessed(ECO2, ppm, ppm, co2Class(ppm));
}

export function tvoc(ppb: number): CompleteAssessment | null {
  return ubaLevel(TVOC, 1 + TVOC_ENDS_PPB.filter((end) => ppb > end).length, ppb);
}

/** Null when `index` is not one of the levels 1 to 5. */
export function deviceUbaIndex(index: number): CompleteAssessment | null {
  return ubaLevel(DEVICE_INDEX, index, index);
}

function co2Class(ppm: number): Class {
  if (ppm < CO2_CONSPICUOUS_PPM) return CO2_CLASSES.harmless;
  return ppm <= CO2_UNACCEPTABLE_PPM ? CO2_CLASSES.conspicuous : CO2_CLASSES.unacceptable;
}

function ubaLevel(indicator: Indicator, number: number, measured: number): CompleteAssessment | null {
  const found = UBA_LEVELS[number - 1];
  return found ? assessed(indicator, number, measured, found) : null;
}

function assessed(indicator: Indicator, value: number, measured: number, found: Class): CompleteAssessment {
  return { ...indicator, complete: true, value, measured, ...found, order: found.level };
}
