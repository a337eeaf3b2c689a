/**
 * The least range of a chart's vertical axis, in the stored unit of each field, so that noise is not a mountain: about the accuracy of
 * common sensors, or what a person would notice.
 */
const MIN_SPANS: Readonly<Record<string, number>> = {
  temperature: 2, // ±0.3 °C of common sensors, and nobody feels less than a degree
  humidity: 8, // ±2 to 3 % of common sensors
  pressure: 6, // hPa in a calm day; an eventful one has 20
  co2: 200, // ±(50 ppm + 5 %) of infrared sensors
  eco2: 200, // as the CO2 that it stands for
  tvoc: 100, // half of the second German level
  vocIndex: 50, // of 500, where 100 is usual air
  noxIndex: 20, // of 500, where 1 is usual air
  aqi: 4, // the range of the index 1 to 5
  pm1: 10, pm25: 10, pm4: 10, pm10: 10, // µg/m³: ±10 up to 100 of laser sensors
  pm03Count: 500, // per dl, in clean air
  coPpm: 10, // a third of what EN 50291-1 lets no alarm sound at
  ch4Ppm: 500, lpgPpm: 200, h2: 100, // about 1 % of the lower explosive limit
  alcohol: 10, toluene: 10, acetone: 10, nh3: 2, h2s: 2, // resolution of cheap cells
  no2: 20, o3: 20, so2: 20, // ppb: noise of electrochemical cells
  hcho: 20, // ppb: a quarter of the WHO guideline
  radon: 50, // Bq/m³: the statistics of an hour's counts
  flameIntensity: 200, // of 4,095
  illuminance: 50, // lx: a dim room
  noise: 10, // dB: twice as loud
  battery: 10, batteryVoltage: 0.2, // a tenth of what they can be
  rssi: 12, // dB: what a closed door does
};

/** Of fields without a row: a share of the value. */
const MIN_RELATIVE_SPAN = 0.02;
const LEAST_SPAN = 1e-3;

export function minSpan(name: string, value: number): number {
  return MIN_SPANS[name] ?? Math.max(Math.abs(value) * MIN_RELATIVE_SPAN, LEAST_SPAN);
}

const MARGIN = 1.15;

/** The range of the axis for values from `low` to `high`: with a margin, at least `least` wide, and not below 0 without reason. */
export function axisRange(low: number, high: number, least: number): [low: number, high: number] {
  const middle = (low + high) / 2;
  const span = Math.max((high - low) * MARGIN, least);
  const bottom = middle - span / 2;
  return low >= 0 && bottom < 0 ? [0, Math.max(span, high * MARGIN)] : [bottom, bottom + span];
}

const MAX_DIGITS = 3;

/** The decimal places that tell values in this step apart on an axis: 23.75 between 23.5 and 24 is not 23.8. */
export function stepDigits(step: number): number {
  for (let digits = 0; digits <= MAX_DIGITS; digits++) {
    const scaled = step * 10 ** digits;
    if (scaled > 0.5 && Math.abs(scaled - Math.round(scaled)) < 1e-6) return digits;
  }
  return 0;
}
