"""A plain English sentence for each advice, from its key and parameters.

Clients that translate do the same with their own catalogue: `{field}` is a name, `{unit}` that of the field, `{source}` names
the standard, the others are parameters of the advice. `SOURCE` follows where the limit is that of a standard.
"""

from collections.abc import Mapping

from bridge.alarms.rules import amount
from bridge.analysis.advice.record import Advice
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

SOURCE = "advice.source"

SENTENCES: Mapping[str, str] = {
    "advice.ventilate.forecast": (
        "Air the room now: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %)."
    ),
    "advice.ventilate.alarm": "Air the room: {field} is {value} {unit}, above {limit} {unit}.",
    "advice.ventilateOutside.forecast": (
        "Air the room now: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %), and is "
        "{outside} {unit} outside."
    ),
    "advice.ventilateOutside.alarm": (
        "Air the room: {field} is {value} {unit}, above {limit} {unit}, and {outside} {unit} outside."
    ),
    "advice.cleanAir.forecast": (
        "Run an air purifier, and remove the source if it is indoors: {field} is likely to rise above {limit} {unit} within "
        "{hours} h ({probability} %). Air the room only if the air outside is cleaner."
    ),
    "advice.cleanAir.alarm": (
        "Run an air purifier, and remove the source if it is indoors: {field} is {value} {unit}, above {limit} {unit}. Air "
        "the room only if the air outside is cleaner."
    ),
    "advice.closeWindows.forecast": (
        "Close the windows: {field} is likely to rise above {limit} {unit} outside within {hours} h ({probability} %)."
    ),
    "advice.closeWindows.alarm": "Close the windows: {field} is {value} {unit} outside, above {limit} {unit}.",
    "advice.closeWindowsOutside.forecast": (
        "Close the windows: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %), and is "
        "{outside} {unit} outside."
    ),
    "advice.closeWindowsOutside.alarm": (
        "Close the windows: {field} is {value} {unit}, above {limit} {unit}, and {outside} {unit} outside."
    ),
    "advice.findSource.forecast": (
        "Find the source: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %). If it is "
        "indoors, remove it and air the room. If it is outdoors, close the windows."
    ),
    "advice.findSource.alarm": (
        "Find the source: {field} is {value} {unit}, above {limit} {unit}. If it is indoors, remove it and air the room. If "
        "it is outdoors, close the windows."
    ),
    "advice.dehumidify.forecast": (
        "Run a dehumidifier, or air the room for a few minutes: {field} is likely to rise above {limit} {unit} within "
        "{hours} h ({probability} %)."
    ),
    "advice.dehumidify.alarm": (
        "Run a dehumidifier, or air the room for a few minutes: {field} is {value} {unit}, above {limit} {unit}."
    ),
    "advice.cool.forecast": (
        "Shade or cool the room: {field} is likely to rise above {limit} {unit} within {hours} h ({probability} %)."
    ),
    "advice.cool.alarm": "Shade or cool the room: {field} is {value} {unit}, above {limit} {unit}.",
    "advice.heat.alarm": "Heat the room: {field} is {value} {unit}, below {limit} {unit}.",
    "advice.checkSensor.alarm": "Check the sensor: its values are not plausible, or do not change.",
    SOURCE: "The limit is that of {source}.",
}  # fmt: skip


def sentence(advice: Advice) -> str:
    """Return the sentence in English, and whose limit it names."""
    words = {name: amount(number) for name, number in advice.parameters.items()}
    words["field"] = MEASUREMENTS_BY_NAME[advice.field].label if advice.field else ""
    words["unit"] = advice.unit or ""
    text = SENTENCES[advice.key].format_map(words)
    if advice.source is not None:
        text += f" {SENTENCES[SOURCE].format(source=advice.source)}"
    return " ".join(text.split()).replace(" .", ".").replace(" ,", ",").replace(" )", ")")
