import type { AnomalyMessages } from "./anomalies.en";

export const anomalies: AnomalyMessages = {
  "anomaly.stuck": "{field}: exactamente {value} {unit} desde hace {hours} h. El mayor tiempo sin cambios hasta ahora fue de {longestHours} h, y el límite es de {limitHours} h. El sensor puede estar bloqueado.",
  "anomaly.crossFreeze": "{fields}: dejaron de cambiar en el mismo momento, hace {hours} h. El sensor que comparten puede haber fallado, o se repiten valores antiguos.",
  "anomaly.saturatedHigh": "{field}: en el límite superior del rango del sensor, {value} {unit}, desde hace más de {minutes} min. El valor real puede ser mayor.",
  "anomaly.saturatedLow": "{field}: en el límite inferior del rango del sensor, {value} {unit}, desde hace más de {minutes} min. El valor real puede ser menor, o el sensor ha fallado.",
  "anomaly.warmUp": "{field}: {value} {unit} después de una pausa, fuera del rango de {low} a {high} {unit} de las últimas semanas. Puede que el sensor aún se esté calentando: espere una hora.",
  "anomaly.spike": "{field}: {spikes} valores aislados en 24 horas, lejos de los valores vecinos; el último es {after} {unit} en lugar de unos {before} {unit}. Un mal contacto o una alimentación débil puede ser la causa.",
  "anomaly.step": "{field}: salto de {before} a {after} {unit} entre dos lecturas, sin volver. El mayor salto habitual es de {natural} {unit}. Es posible que el sensor se haya movido, cambiado o dañado.",
  "anomaly.crossJump": "{fields}: salto en el mismo momento; {field} de {before} a {after} {unit}. El sensor que comparten puede estar expuesto a algo, como aliento, vapor o sol, o falla su alimentación.",
  "anomaly.driftPercent": "{field}: {change} % de diferencia con lo que indica {neighbour} en la misma sala: {mean} en lugar de unos {expected} {unit} de media ese día. La diferencia ha crecido durante días. Puede que uno de los dos necesite calibración.",
  "anomaly.driftOffset": "{field}: {change} {unit} de diferencia con lo que indica {neighbour} en la misma sala: {mean} en lugar de unos {expected} {unit} de media ese día. La diferencia ha crecido durante días. Puede que uno de los dos necesite calibración.",
  "anomaly.unusualHigh": "{field}: por encima de lo habitual a esta hora desde hace {hours} h: {mean} {unit} de media, cuando se esperaban de {low} a {high} {unit}.",
  "anomaly.unusualLow": "{field}: por debajo de lo habitual a esta hora desde hace {hours} h: {mean} {unit} de media, cuando se esperaban de {low} a {high} {unit}.",
};
