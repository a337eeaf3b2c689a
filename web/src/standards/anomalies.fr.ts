import type { AnomalyMessages } from "./anomalies.en";

export const anomalies: AnomalyMessages = {
  "anomaly.stuck": "{field} : exactement {value} {unit} depuis {hours} h. La plus longue durée sans changement était jusque-là de {longestHours} h, et la limite est de {limitHours} h. Le capteur est peut-être bloqué.",
  "anomaly.crossFreeze": "{fields} : plus aucun changement depuis {hours} h, au même moment. Leur capteur commun est peut-être en panne, ou d’anciennes valeurs sont répétées.",
  "anomaly.saturatedHigh": "{field} : à la limite supérieure de la plage du capteur, {value} {unit}, depuis plus de {minutes} min. La valeur réelle peut être plus élevée.",
  "anomaly.saturatedLow": "{field} : à la limite inférieure de la plage du capteur, {value} {unit}, depuis plus de {minutes} min. La valeur réelle peut être plus basse, ou le capteur est en panne.",
  "anomaly.warmUp": "{field} : {value} {unit} après une pause, hors de la plage de {low} à {high} {unit} des dernières semaines. Le capteur est peut-être encore en préchauffage : attendez une heure.",
  "anomaly.spike": "{field} : {spikes} valeurs isolées en 24 heures, loin des valeurs voisines ; la dernière est {after} {unit} au lieu d’environ {before} {unit}. Un mauvais contact ou une alimentation faible peut en être la cause.",
  "anomaly.step": "{field} : saut de {before} à {after} {unit} entre deux mesures, sans retour. Le plus grand saut habituel est de {natural} {unit}. Le capteur a peut-être été déplacé, remplacé ou endommagé.",
  "anomaly.crossJump": "{fields} : saut au même moment ; {field} de {before} à {after} {unit}. Leur capteur commun est peut-être exposé à une source, comme l’haleine, la vapeur ou le soleil, ou son alimentation faiblit.",
  "anomaly.driftPercent": "{field} : écart de {change} % par rapport à ce qu’indique {neighbour} dans la même pièce : {mean} au lieu d’environ {expected} {unit} en moyenne ce jour-là. L’écart s’est creusé au fil des jours. L’un des deux doit peut-être être étalonné.",
  "anomaly.driftOffset": "{field} : écart de {change} {unit} par rapport à ce qu’indique {neighbour} dans la même pièce : {mean} au lieu d’environ {expected} {unit} en moyenne ce jour-là. L’écart s’est creusé au fil des jours. L’un des deux doit peut-être être étalonné.",
  "anomaly.unusualHigh": "{field} : au-dessus de l’habituel à cette heure depuis {hours} h : {mean} {unit} en moyenne, au lieu de {low} à {high} {unit} attendus.",
  "anomaly.unusualLow": "{field} : en dessous de l’habituel à cette heure depuis {hours} h : {mean} {unit} en moyenne, au lieu de {low} à {high} {unit} attendus.",
};
