import type { AdviceMessages } from "./advice.en";

export const advice: AdviceMessages = {
  "advice.ventilate.forecast": "Проветрите помещение сейчас. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %).",
  "advice.ventilate.alarm": "Проветрите помещение. {field}: {value} {unit}, выше {limit} {unit}.",
  "advice.ventilateOutside.forecast": "Проветрите помещение сейчас. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %); снаружи {outside} {unit}.",
  "advice.ventilateOutside.alarm": "Проветрите помещение. {field}: {value} {unit}, выше {limit} {unit}; снаружи {outside} {unit}.",
  "advice.cleanAir.forecast": "Включите очиститель воздуха и устраните источник, если он в помещении. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %). Проветривайте, только если воздух снаружи чище.",
  "advice.cleanAir.alarm": "Включите очиститель воздуха и устраните источник, если он в помещении. {field}: {value} {unit}, выше {limit} {unit}. Проветривайте, только если воздух снаружи чище.",
  "advice.closeWindows.forecast": "Закройте окна. {field} снаружи: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %).",
  "advice.closeWindows.alarm": "Закройте окна. {field} снаружи: {value} {unit}, выше {limit} {unit}.",
  "advice.closeWindowsOutside.forecast": "Закройте окна. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %); снаружи {outside} {unit}.",
  "advice.closeWindowsOutside.alarm": "Закройте окна. {field}: {value} {unit}, выше {limit} {unit}; снаружи {outside} {unit}.",
  "advice.findSource.forecast": "Найдите источник. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %). Если он в помещении, устраните его и проветрите. Если он снаружи, закройте окна.",
  "advice.findSource.alarm": "Найдите источник. {field}: {value} {unit}, выше {limit} {unit}. Если он в помещении, устраните его и проветрите. Если он снаружи, закройте окна.",
  "advice.dehumidify.forecast": "Включите осушитель или проветрите помещение несколько минут. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %).",
  "advice.dehumidify.alarm": "Включите осушитель или проветрите помещение несколько минут. {field}: {value} {unit}, выше {limit} {unit}.",
  "advice.cool.forecast": "Затените или охладите помещение. {field}: в ближайшие {hours} ч, вероятно, выше {limit} {unit} ({probability} %).",
  "advice.cool.alarm": "Затените или охладите помещение. {field}: {value} {unit}, выше {limit} {unit}.",
  "advice.heat.alarm": "Обогрейте помещение. {field}: {value} {unit}, ниже {limit} {unit}.",
  "advice.checkSensor.alarm": "Проверьте датчик: его значения неправдоподобны или не меняются.",
  "advice.source": "Предел: {source}.",
};
