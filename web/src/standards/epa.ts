/** Judgements by the US EPA's AQI: particles over a day and now, carbon monoxide over eight hours, and a device's own index. */

import { aqi, aqiCategory, type Pollutant, truncated } from "./aqi";
import { type Averaged, CO_HOURS, DAY_HOURS, mean, nowCast, type Window } from "./averaging";
import { type AdviceKey, type Judgement, type LevelKey, pending, type Subject } from "./assessment";

interface EpaSubject extends Subject {
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
} as const satisfies Record<string, Record<string, EpaSubject>>;

const CARBON_MONOXIDE: EpaSubject = {
  key: "index.aqi.co",
  standard: "standard.epaAqi",
  field: "coPpm",
  unit: null,
  averaging: "averaging.mean8h",
  indicative: true,
  note: "note.gasSensor",
};

const OWN_INDEX: Subject = {
  key: "index.device.epa",
  standard: "standard.epaDevice",
  field: "aqi",
  unit: null,
  averaging: "averaging.device",
  indicative: true,
  note: "note.deviceIndex",
};

export function particles(field: "pm25" | "pm10", window: Window): Judgement[] {
  const { now, day } = PARTICLES[field];
  return [judged(now, nowCast(window), AIR_ADVICE), judged(day, mean(window, DAY_HOURS), AIR_ADVICE)];
}

export function carbonMonoxide(window: Window): Judgement {
  return judged(CARBON_MONOXIDE, mean(window, CO_HOURS), CO_ADVICE);
}

export function ownEpaIndex(index: number): Judgement {
  const level = aqiCategory(index);
  return {
    ...OWN_INDEX,
    complete: true,
    value: index,
    measured: index,
    level,
    levelKey: CATEGORIES[level],
    advice: AIR_ADVICE[level],
    order: level,
  };
}

function judged(subject: EpaSubject, averaged: Averaged, advice: typeof AIR_ADVICE | typeof CO_ADVICE): Judgement {
  if ("hoursNeeded" in averaged) return pending(subject, averaged.hoursNeeded);
  const { index, category: level } = aqi(subject.field, averaged.value);
  return {
    ...subject,
    complete: true,
    value: index,
    measured: truncated(subject.field, averaged.value),
    level,
    levelKey: CATEGORIES[level],
    advice: advice[level],
    order: level,
  };
}
