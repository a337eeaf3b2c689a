/**
 * The sentences of anomalies in English, as the bridge writes them (`bridge/analysis/anomaly/sentences.py`; a test compares them). `{field}`,
 * `{fields}` and `{neighbour}` are names, `{unit}` is that of the field, the others are parameters of the anomaly.
 */

export const anomalies = {
  "anomaly.stuck": "{field} has been exactly {value} {unit} for {hours} hours. The longest such time before was {longestHours} hours, and the limit is {limitHours} hours. The sensor may be stuck.",
  "anomaly.crossFreeze": "{fields} stopped changing at the same time, {hours} hours ago. The sensor they share may have failed, or old values are being repeated.",
  "anomaly.saturatedHigh": "{field} has been at the upper end of the sensor's range, {value} {unit}, for more than {minutes} minutes. The true value may be higher.",
  "anomaly.saturatedLow": "{field} has been at the lower end of the sensor's range, {value} {unit}, for more than {minutes} minutes. The true value may be lower, or the sensor has failed.",
  "anomaly.warmUp": "After a pause {field} is {value} {unit}, outside the {low} to {high} {unit} of the last weeks. The sensor may still be warming up: wait an hour.",
  "anomaly.spike": "{field} had {spikes} single values within 24 hours that were far from those before and after, the last one {after} {unit} instead of about {before} {unit}. A loose contact or a weak supply may be the cause.",
  "anomaly.step": "{field} jumped from {before} to {after} {unit} between two readings and stayed there. The largest usual jump is {natural} {unit}. The sensor may have been moved, changed or damaged.",
  "anomaly.crossJump": "{fields} jumped at the same moment, {field} from {before} to {after} {unit}. The sensor they share may be exposed to something, such as breath, steam or sunlight, or its supply is failing.",
  "anomaly.driftPercent": "{field} differs by {change} % from what {neighbour} in the same room suggests: {mean} instead of about {expected} {unit} on average that day. It has moved away over days. One of the two may need calibration.",
  "anomaly.driftOffset": "{field} differs by {change} {unit} from what {neighbour} in the same room suggests: {mean} instead of about {expected} {unit} on average that day. It has moved away over days. One of the two may need calibration.",
  "anomaly.unusualHigh": "{field} has been above what is usual at this time for {hours} hours: {mean} {unit} on average, where {low} to {high} {unit} were expected.",
  "anomaly.unusualLow": "{field} has been below what is usual at this time for {hours} hours: {mean} {unit} on average, where {low} to {high} {unit} were expected.",
} as const;

export type AnomalyKey = keyof typeof anomalies;
export type AnomalyMessages = Readonly<Record<AnomalyKey, string>>;
