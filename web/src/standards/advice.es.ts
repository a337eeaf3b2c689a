import type { AdviceMessages } from "./advice.en";

export const advice: AdviceMessages = {
  "advice.ventilate.forecast": "Ventile la habitación ahora: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %).",
  "advice.ventilate.alarm": "Ventile la habitación: {field} a {value} {unit}, por encima de {limit} {unit}.",
  "advice.ventilateOutside.forecast": "Ventile la habitación ahora: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %); fuera: {outside} {unit}.",
  "advice.ventilateOutside.alarm": "Ventile la habitación: {field} a {value} {unit}, por encima de {limit} {unit}; fuera: {outside} {unit}.",
  "advice.cleanAir.forecast": "Ponga en marcha un purificador de aire y, si la fuente está dentro, elimínela: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %). Ventile solo si el aire de fuera está más limpio.",
  "advice.cleanAir.alarm": "Ponga en marcha un purificador de aire y, si la fuente está dentro, elimínela: {field} a {value} {unit}, por encima de {limit} {unit}. Ventile solo si el aire de fuera está más limpio.",
  "advice.closeWindows.forecast": "Cierre las ventanas: es probable que fuera {field} supere {limit} {unit} en {hours} h ({probability} %).",
  "advice.closeWindows.alarm": "Cierre las ventanas: {field} a {value} {unit} fuera, por encima de {limit} {unit}.",
  "advice.closeWindowsOutside.forecast": "Cierre las ventanas: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %); fuera: {outside} {unit}.",
  "advice.closeWindowsOutside.alarm": "Cierre las ventanas: {field} a {value} {unit}, por encima de {limit} {unit}; fuera: {outside} {unit}.",
  "advice.findSource.forecast": "Busque la fuente: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %). Si está dentro, elimínela y ventile la habitación. Si está fuera, cierre las ventanas.",
  "advice.findSource.alarm": "Busque la fuente: {field} a {value} {unit}, por encima de {limit} {unit}. Si está dentro, elimínela y ventile la habitación. Si está fuera, cierre las ventanas.",
  "advice.dehumidify.forecast": "Ponga en marcha un deshumidificador o ventile la habitación unos minutos: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %).",
  "advice.dehumidify.alarm": "Ponga en marcha un deshumidificador o ventile la habitación unos minutos: {field} a {value} {unit}, por encima de {limit} {unit}.",
  "advice.cool.forecast": "Dé sombra a la habitación o refrésquela: es probable que {field} supere {limit} {unit} en {hours} h ({probability} %).",
  "advice.cool.alarm": "Dé sombra a la habitación o refrésquela: {field} a {value} {unit}, por encima de {limit} {unit}.",
  "advice.heat.alarm": "Caliente la habitación: {field} a {value} {unit}, por debajo de {limit} {unit}.",
  "advice.checkSensor.alarm": "Revise el sensor: sus valores no son plausibles o no cambian.",
  "advice.source": "Límite: {source}.",
};
