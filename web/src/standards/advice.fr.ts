import type { AdviceMessages } from "./advice.en";

export const advice: AdviceMessages = {
  "advice.ventilate.forecast": "Aérez la pièce maintenant : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %).",
  "advice.ventilate.alarm": "Aérez la pièce : {field} à {value} {unit}, au-dessus de {limit} {unit}.",
  "advice.ventilateOutside.forecast": "Aérez la pièce maintenant : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %) ; à l’extérieur : {outside} {unit}.",
  "advice.ventilateOutside.alarm": "Aérez la pièce : {field} à {value} {unit}, au-dessus de {limit} {unit} ; à l’extérieur : {outside} {unit}.",
  "advice.cleanAir.forecast": "Mettez un purificateur d’air en marche, et supprimez la source si elle est à l’intérieur : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %). N’aérez que si l’air extérieur est plus propre.",
  "advice.cleanAir.alarm": "Mettez un purificateur d’air en marche, et supprimez la source si elle est à l’intérieur : {field} à {value} {unit}, au-dessus de {limit} {unit}. N’aérez que si l’air extérieur est plus propre.",
  "advice.closeWindows.forecast": "Fermez les fenêtres : à l’extérieur, {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %).",
  "advice.closeWindows.alarm": "Fermez les fenêtres : {field} à {value} {unit} à l’extérieur, au-dessus de {limit} {unit}.",
  "advice.closeWindowsOutside.forecast": "Fermez les fenêtres : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %) ; à l’extérieur : {outside} {unit}.",
  "advice.closeWindowsOutside.alarm": "Fermez les fenêtres : {field} à {value} {unit}, au-dessus de {limit} {unit} ; à l’extérieur : {outside} {unit}.",
  "advice.findSource.forecast": "Cherchez la source : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %). Si elle est à l’intérieur, supprimez-la et aérez la pièce. Si elle est à l’extérieur, fermez les fenêtres.",
  "advice.findSource.alarm": "Cherchez la source : {field} à {value} {unit}, au-dessus de {limit} {unit}. Si elle est à l’intérieur, supprimez-la et aérez la pièce. Si elle est à l’extérieur, fermez les fenêtres.",
  "advice.dehumidify.forecast": "Mettez un déshumidificateur en marche, ou aérez la pièce quelques minutes : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %).",
  "advice.dehumidify.alarm": "Mettez un déshumidificateur en marche, ou aérez la pièce quelques minutes : {field} à {value} {unit}, au-dessus de {limit} {unit}.",
  "advice.cool.forecast": "Ombragez ou rafraîchissez la pièce : {field} dépassera probablement {limit} {unit} d’ici {hours} h ({probability} %).",
  "advice.cool.alarm": "Ombragez ou rafraîchissez la pièce : {field} à {value} {unit}, au-dessus de {limit} {unit}.",
  "advice.heat.alarm": "Chauffez la pièce : {field} à {value} {unit}, au-dessous de {limit} {unit}.",
  "advice.checkSensor.alarm": "Vérifiez le capteur : ses valeurs ne sont pas plausibles, ou ne changent pas.",
  "advice.source": "Limite : {source}.",
};
