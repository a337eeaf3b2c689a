/**
 * The sentences of advice in English, as the bridge writes them (`bridge/analysis/advice/sentences.py`; a test compares them).
 * `{field}` is a name, `{unit}` that of the field, `{source}` the name of the standard, the others are parameters of the advice.
 */

export const advice = {
  "advice.ventilate.forecast": "Air the room now: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %).",
  "advice.ventilate.alarm": "Air the room: {field} is {value} {unit}, above {limit} {unit}.",
  "advice.ventilateOutside.forecast": "Air the room now: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %), and is {outside} {unit} outside.",
  "advice.ventilateOutside.alarm": "Air the room: {field} is {value} {unit}, above {limit} {unit}, and {outside} {unit} outside.",
  "advice.cleanAir.forecast": "Run an air purifier, and remove the source if it is indoors: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %). Air the room only if the air outside is cleaner.",
  "advice.cleanAir.alarm": "Run an air purifier, and remove the source if it is indoors: {field} is {value} {unit}, above {limit} {unit}. Air the room only if the air outside is cleaner.",
  "advice.closeWindows.forecast": "Close the windows: {field} is likely to rise above {limit} {unit} outside within {hours} h ({probability} %).",
  "advice.closeWindows.alarm": "Close the windows: {field} is {value} {unit} outside, above {limit} {unit}.",
  "advice.closeWindowsOutside.forecast": "Close the windows: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %), and is {outside} {unit} outside.",
  "advice.closeWindowsOutside.alarm": "Close the windows: {field} is {value} {unit}, above {limit} {unit}, and {outside} {unit} outside.",
  "advice.findSource.forecast": "Find the source: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %). If it is indoors, remove it and air the room. If it is outdoors, close the windows.",
  "advice.findSource.alarm": "Find the source: {field} is {value} {unit}, above {limit} {unit}. If it is indoors, remove it and air the room. If it is outdoors, close the windows.",
  "advice.dehumidify.forecast": "Run a dehumidifier, or air the room for a few minutes: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %).",
  "advice.dehumidify.alarm": "Run a dehumidifier, or air the room for a few minutes: {field} is {value} {unit}, above {limit} {unit}.",
  "advice.cool.forecast": "Shade or cool the room: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %).",
  "advice.cool.alarm": "Shade or cool the room: {field} is {value} {unit}, above {limit} {unit}.",
  "advice.heat.alarm": "Heat the room: {field} is {value} {unit}, below {limit} {unit}.",
  "advice.checkSensor.alarm": "Check the sensor: its values are not plausible, or do not change.",
  "advice.source": "The limit is that of {source}.",
} as const;

export type AdviceKey = keyof typeof advice;
export type AdviceMessages = Readonly<Record<AdviceKey, string>>;
