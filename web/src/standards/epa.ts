/** Assessments by the US EPA's AQI: particles (daily and NowCast), carbon monoxide over eight hours, and a device's own index. */

import { type Pollutant, aqi, aqiCategory, truncated } from "./aqi";
import { type AdviceKey, type Assessment, type Indicator, type LevelKey, pendingAssessment } from "./assessment";
import { CO_HOURS, DAY_HOURS, type Average, type HourlyWindow, mean, nowCast } from "./averaging";

interface EpaIndicator extends Indicator {
  readonly field: Pollutant;
}

const CATEGORIES = [
  "level.epa.good",
  "level.epa.moderate",
  "level.epa.sensitive",
  "level.epa.unhealthy",
  "level.epa.veryUnhealthy",
  "level.epa.hazardous",
] as const satisfies readonly LevelKey[];

const AIR_ADVICE = [
  "advice.none",
  "advice.air.moderate",
  "advice.air.sensitive",
  "advice.air.unhealthy",
  "advice.air.veryUnhealthy",
  "advice.air.hazardous",
] as const satisfies readonly AdviceKey[];

const CO_ADVICE = [
  "advice.none",
  "advice.co.source",
  "advice.co.sensitive",
  "advice.co.leave",
  "advice.co.leave",
  "advice.co.leave",
] as const satisfies readonly AdviceKey[];

const DAY = {
  standard: "standard.epaAqi", averaging: "averaging.mean24h", unit: null, indicative: false, note: "note.rollingDay",
} as const;
const NOW = {
  standard: "standard.epaNowCast", averaging: "averaging.nowCast", unit: null, indicative: false, note: null,
} as const;

const PARTICLES = {
  pm25: {
    now: { key: "index.aqi.pm25.now", field: "pm25", ...NOW },
    day: { key: "index.aqi.pm25.day", field: "pm25", ...DAY },
  },
  pm10: {
    now: { key: "index.aqi.pm10.now", field: "pm10", ...NOW },
    day: { key: "index.aqi.pm10.day", field: "pm10", ...DAY },
  },
} as const satisfies Record<string, Record<string, EpaIndicator>>;

const CARBON_MONOXIDE: EpaIndicator = {
  key: "index.aqi.co",
  standard: "standard.epaAqi",
  field: "coPpm",
  unit: null,
  averaging: "averaging.mean8h",
  indicative: true,
  note: "note.gasSensor",
};

const DEVICE_INDEX: Indicator = {
  key: "index.device.epa",
  standard: "standard.epaDevice",
  field: "aqi",
  unit: null,
  averaging: "averaging.device",
  indicative: true,
  note: "note.deviceIndex",
};

export function particles(field: "pm25" | "pm10", window: HourlyWindow): Assessment[] {
  const { now, day } = PARTICLES[field];
  return [assessed(now, nowCast(window), AIR_ADVICE), assessed(day, mean(window, DAY_HOURS), AIR_ADVICE)];
}

export function carbonMonoxide(window: HourlyWindow): Assessment {
  return assessed(CARBON_MONOXIDE, mean(window, CO_HOURS), CO_ADVICE);
}

export function deviceEpaIndex(index: number): Assessment {
  const level = aqiCategory(index);
  return {
    ...DEVICE_INDEX,
    complete: true,
    value: index,
    measured: index,
    level,
    levelKey: CATEGORIES[level],
    advice: AIR_ADVICE[level],
    order: level,
  };
}

function assessed(indicator: EpaIndicator, averaged: Average, advice: typeof AIR_ADVICE | typeof CO_ADVICE): Assessment {
  if ("hoursNeeded" in averaged) return pendingAssessment(indicator, averaged.hoursNeeded);
  const { index, category: level } = aqi(indicator.field, averaged.value);
  return {
    ...indicator,
    complete: true,
    value: index,
    measured: truncated(indicator.field, averaged.value),
    level,
    levelKey: CATEGORIES[level],
    advice: advice[level],
    order: level,
  };
}
