/** Immediate hazards: gas as a percentage of its lower explosive limit (LEL), carbon monoxide by CO alarm thresholds, and flames.
 *
 * The limits are from IEC 60079-20-1 (2010): methane 4.4 % by volume, propane 1.7 %, n-butane 1.4 %. ISO 10156 and American
 * tables give 5.0, 2.1 and 1.8 %. The lower limit gives the higher percentage, so it errs on the safe side. LPG is propane,
 * butane or a mixture; a sensor cannot tell them apart, so LPG is treated as butane.
 *
 * Gas detectors usually raise a first alarm at 10 % of the limit and a second at 20 to 25 %.
 *
 * Carbon monoxide: EN 50291-1 (2018). A household alarm sounds at 30 ppm not before 120 minutes, at 50 ppm between 60 and 90
 * minutes, at 100 ppm between 10 and 40, at 300 ppm within 3. Here its thresholds apply to a single reading, without the delay:
 * an 8-hour average still says "good" hours after the air has become dangerous.
 */

import type { AdviceKey, CompleteAssessment, Indicator, Level, LevelKey } from "./assessment";

type Gas = "ch4Ppm" | "lpgPpm";

interface Alarm {
  /** Lower threshold: a percentage of the LEL for gas, ppm for carbon monoxide. */
  readonly from: number;
  readonly level: Level;
  readonly levelKey: LevelKey;
  readonly advice: AdviceKey;
  readonly order: number;
}

const FLAME_ORDER = 7;
const GAS_ORDER = 6;

const ALARMS: readonly Alarm[] = [
  { from: 100, level: 5, levelKey: "level.lel.explosive", advice: "advice.lel.leave", order: GAS_ORDER },
  { from: 20, level: 5, levelKey: "level.lel.second", advice: "advice.lel.leave", order: GAS_ORDER },
  { from: 10, level: 3, levelKey: "level.lel.first", advice: "advice.lel.air", order: 3 },
];
const NO_ALARM: Alarm = { from: 0, level: 0, levelKey: "level.lel.below", advice: "advice.none", order: 0 };

export const LOWER_LIMIT_PPM: Readonly<Record<Gas, number>> = { ch4Ppm: 44_000, lpgPpm: 14_000 };

const COMMON = { unit: "unit.lel", averaging: "averaging.latest", indicative: true } as const;
const GASES: Readonly<Record<Gas, Indicator>> = {
  ch4Ppm: { key: "index.lel.ch4", standard: "standard.iecMethane", field: "ch4Ppm", ...COMMON, note: "note.gasSensor" },
  lpgPpm: { key: "index.lel.lpg", standard: "standard.iecButane", field: "lpgPpm", ...COMMON, note: "note.lpg" },
};

const CO_ALARMS: readonly Alarm[] = [
  { from: 300, level: 5, levelKey: "level.co.300", advice: "advice.co.leave", order: GAS_ORDER },
  { from: 100, level: 5, levelKey: "level.co.100", advice: "advice.co.leave", order: 5 },
  { from: 50, level: 3, levelKey: "level.co.50", advice: "advice.co.sensitive", order: 3 },
  { from: 30, level: 2, levelKey: "level.co.30", advice: "advice.co.source", order: 2 },
];
const NO_CO_ALARM: Alarm = { from: 0, level: 0, levelKey: "level.co.below", advice: "advice.none", order: 0 };

const CO: Indicator = {
  key: "index.co.now",
  standard: "standard.enCo",
  field: "coPpm",
  unit: "unit.ppm",
  averaging: "averaging.latest",
  indicative: true,
  note: "note.gasSensor",
};

const FLAME: Indicator = {
  key: "index.flame",
  standard: "standard.flame",
  field: "flameDetected",
  unit: null,
  averaging: "averaging.latest",
  indicative: false,
  note: null,
};

export function explosiveGas(gas: Gas, ppm: number): CompleteAssessment {
  const percent = (ppm * 100) / LOWER_LIMIT_PPM[gas];
  const { level, levelKey, advice, order } = ALARMS.find(({ from }) => percent >= from) ?? NO_ALARM;
  return { ...GASES[gas], complete: true, value: percent, measured: ppm, level, levelKey, advice, order };
}

export function carbonMonoxideNow(ppm: number): CompleteAssessment {
  const { level, levelKey, advice, order } = CO_ALARMS.find(({ from }) => ppm >= from) ?? NO_CO_ALARM;
  return { ...CO, complete: true, value: ppm, measured: ppm, level, levelKey, advice, order };
}

export function flame(detected: boolean): CompleteAssessment {
  const found = detected
    ? ({ level: 5, levelKey: "level.flame.detected", advice: "advice.flame", order: FLAME_ORDER } as const)
    : ({ level: 0, levelKey: "level.flame.none", advice: "advice.none", order: 0 } as const);
  return { ...FLAME, complete: true, value: detected, measured: detected, ...found };
}
