import type { AdviceMessages } from "./advice.en";

export const advice: AdviceMessages = {
  "advice.ventilate.forecast": "Jetzt lüften: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %).",
  "advice.ventilate.alarm": "Lüften: {field} bei {value} {unit}, über {limit} {unit}.",
  "advice.ventilateOutside.forecast": "Jetzt lüften: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %); draußen {outside} {unit}.",
  "advice.ventilateOutside.alarm": "Lüften: {field} bei {value} {unit}, über {limit} {unit}; draußen {outside} {unit}.",
  "advice.cleanAir.forecast": "Luftreiniger einschalten, und die Quelle beseitigen, wenn sie im Raum ist: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %). Nur lüften, wenn die Luft draußen sauberer ist.",
  "advice.cleanAir.alarm": "Luftreiniger einschalten, und die Quelle beseitigen, wenn sie im Raum ist: {field} bei {value} {unit}, über {limit} {unit}. Nur lüften, wenn die Luft draußen sauberer ist.",
  "advice.closeWindows.forecast": "Fenster schließen: {field} steigt draußen innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %).",
  "advice.closeWindows.alarm": "Fenster schließen: {field} draußen bei {value} {unit}, über {limit} {unit}.",
  "advice.closeWindowsOutside.forecast": "Fenster schließen: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %); draußen {outside} {unit}.",
  "advice.closeWindowsOutside.alarm": "Fenster schließen: {field} bei {value} {unit}, über {limit} {unit}; draußen {outside} {unit}.",
  "advice.findSource.forecast": "Die Quelle suchen: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %). Ist sie im Raum, beseitigen und lüften. Ist sie draußen, Fenster schließen.",
  "advice.findSource.alarm": "Die Quelle suchen: {field} bei {value} {unit}, über {limit} {unit}. Ist sie im Raum, beseitigen und lüften. Ist sie draußen, Fenster schließen.",
  "advice.dehumidify.forecast": "Luftentfeuchter einschalten oder einige Minuten lüften: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %).",
  "advice.dehumidify.alarm": "Luftentfeuchter einschalten oder einige Minuten lüften: {field} bei {value} {unit}, über {limit} {unit}.",
  "advice.cool.forecast": "Den Raum beschatten oder kühlen: {field} steigt innerhalb von {hours} h wahrscheinlich über {limit} {unit} ({probability} %).",
  "advice.cool.alarm": "Den Raum beschatten oder kühlen: {field} bei {value} {unit}, über {limit} {unit}.",
  "advice.heat.alarm": "Den Raum heizen: {field} bei {value} {unit}, unter {limit} {unit}.",
  "advice.checkSensor.alarm": "Den Sensor prüfen: Seine Werte sind nicht plausibel oder ändern sich nicht.",
  "advice.source": "Grenzwert: {source}.",
};
