/** The measurements of the bridge's table, which names them in English. A test compares them. */
export const FIELDS = [
  "temperature", "humidity", "aqi", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "co2", "alcohol", "toluene", "acetone",
  "flameDetected", "flameIntensity", "pm1", "pm25", "pm10", "no2", "o3", "so2", "pressure", "battery",
] as const;

/** What another language calls them. */
export type FieldLabels = Readonly<Record<`field.${(typeof FIELDS)[number]}`, string>>;
