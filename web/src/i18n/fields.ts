/** The bridge's measurements, whose English labels come from the bridge. A test compares this list with the bridge's table. */
export const FIELDS = [
  "temperature", "humidity", "aqi", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "co2", "alcohol", "toluene", "acetone",
  "flameDetected", "flameIntensity", "pm1", "pm25", "pm10", "no2", "o3", "so2", "pressure", "battery",
] as const;

/** The labels in another language. */
export type FieldLabels = Readonly<Record<`field.${(typeof FIELDS)[number]}`, string>>;
