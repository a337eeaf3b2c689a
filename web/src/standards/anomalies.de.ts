import type { AnomalyMessages } from "./anomalies.en";

export const anomalies: AnomalyMessages = {
  "anomaly.stuck": "{field}: seit {hours} Stunden genau {value} {unit}. Bisher blieb der Wert höchstens {longestHours} Stunden gleich, die Grenze sind {limitHours} Stunden. Der Sensor hängt vielleicht.",
  "anomaly.crossFreeze": "{fields}: seit {hours} Stunden unverändert, vom selben Zeitpunkt an. Ihr gemeinsamer Sensor ist vielleicht ausgefallen, oder alte Werte werden wiederholt.",
  "anomaly.saturatedHigh": "{field}: seit mehr als {minutes} Minuten am oberen Ende des Messbereichs, {value} {unit}. Der wahre Wert kann höher sein.",
  "anomaly.saturatedLow": "{field}: seit mehr als {minutes} Minuten am unteren Ende des Messbereichs, {value} {unit}. Der wahre Wert kann niedriger sein, oder der Sensor ist ausgefallen.",
  "anomaly.warmUp": "{field}: nach einer Pause {value} {unit}, außerhalb der {low} bis {high} {unit} der letzten Wochen. Der Sensor wärmt sich vielleicht noch auf: eine Stunde warten.",
  "anomaly.spike": "{field}: {spikes} einzelne Werte innerhalb von 24 Stunden weit entfernt von denen davor und danach, zuletzt {after} {unit} statt etwa {before} {unit}. Ursache kann ein Wackelkontakt oder eine schwache Stromversorgung sein.",
  "anomaly.step": "{field}: zwischen zwei Messungen von {before} auf {after} {unit} gesprungen und dort geblieben. Der größte gewöhnliche Sprung beträgt {natural} {unit}. Der Sensor wurde vielleicht versetzt, ausgetauscht oder beschädigt.",
  "anomaly.crossJump": "{fields}: im selben Moment gesprungen, {field} von {before} auf {after} {unit}. Ihr gemeinsamer Sensor ist vielleicht etwas ausgesetzt, etwa Atem, Dampf oder Sonne, oder seine Stromversorgung lässt nach.",
  "anomaly.driftPercent": "{field}: {change} % Abweichung von dem, was {neighbour} im selben Raum erwarten lässt: {mean} statt etwa {expected} {unit} im Mittel dieses Tages. Die Abweichung ist über Tage entstanden. Einer der beiden muss vielleicht kalibriert werden.",
  "anomaly.driftOffset": "{field}: {change} {unit} Abweichung von dem, was {neighbour} im selben Raum erwarten lässt: {mean} statt etwa {expected} {unit} im Mittel dieses Tages. Die Abweichung ist über Tage entstanden. Einer der beiden muss vielleicht kalibriert werden.",
  "anomaly.unusualHigh": "{field}: seit {hours} Stunden höher als zu dieser Zeit üblich, im Mittel {mean} {unit}; erwartet waren {low} bis {high} {unit}.",
  "anomaly.unusualLow": "{field}: seit {hours} Stunden niedriger als zu dieser Zeit üblich, im Mittel {mean} {unit}; erwartet waren {low} bis {high} {unit}.",
};
