/** The bridge's measurements, whose English labels come from the bridge. A test compares this list with the bridge's table. */
export const FIELDS = [
  "temperature", "humidity", "aqi", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "co2", "alcohol", "toluene", "acetone",
  "flameDetected", "flameIntensity", "pm1", "pm25", "pm10", "no2", "o3", "so2", "pressure", "battery",
  "vocIndex", "noxIndex", "hcho", "nh3", "h2s", "h2", "radon", "pm4", "pm03Count", "illuminance", "noise", "batteryVoltage", "rssi",
] as const;

/** The labels in another language. */
export type FieldLabels = Readonly<Record<`field.${(typeof FIELDS)[number]}`, string>>;
