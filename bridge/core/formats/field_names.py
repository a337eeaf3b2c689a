"""The sense of foreign names: `CarbonDioxide`, `living_room_temperature`, `pm_2_5m_concentration`, `temp_f`.

A name has the sense of the measurement that it ends with, apart from units and words without a meaning of their own. The words
before the measurement must be known: `bme280_co2` is a CO2 measured by a chip, `batt_co2` and `dew_temperature` are other
quantities, and `foo_temperature` may be anything.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from bridge.core.readings.extraction import field_name
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

_LONG_NAMES = {
    "carbondioxide": "co2",
    "carbonmonoxide": "coPpm",
    "co2equivalent": "eco2",
    "equivalentco2": "eco2",
    "co2eq": "eco2",
    "airqualityindex": "aqi",
    "methane": "ch4Ppm",
    "flame": "flameDetected",
    "flamealarm": "flameDetected",
    "flamestate": "flameDetected",
    "flamestatus": "flameDetected",
    "fire": "flameDetected",
    "firedetected": "flameDetected",
    "firealarm": "flameDetected",
    "relativehumidity": "humidity",
    "airtemperature": "temperature",
    "airhumidity": "humidity",
    "airpressure": "pressure",
    "atmosphericpressure": "pressure",
    "barometricpressure": "pressure",
    "barometer": "pressure",
    "nitrogendioxide": "no2",
    "sulphurdioxide": "so2",
    "sulfurdioxide": "so2",
    "hydrogensulfide": "h2s",
    "hydrogensulphide": "h2s",
    "formaldehyd": "hcho",
    "illumination": "illuminance",
    "batt": "battery",
    "batterylevel": "battery",
    "batteryvoltage": "batteryVoltage",
    "batteryvolt": "batteryVoltage",
    "battvoltage": "batteryVoltage",
    "battvolt": "batteryVoltage",
    "vbatt": "batteryVoltage",
    "vbat": "batteryVoltage",
    "soundlevel": "noise",
    "noiselevel": "noise",
    "signalstrength": "rssi",
    "wifirssi": "rssi",
    "pm003count": "pm03Count",
    "pm03count": "pm03Count",
    "humi": "humidity",
    "temperatur": "temperature",
    "température": "temperature",
    "temperatuur": "temperature",
    "температура": "temperature",
    "luftfeuchte": "humidity",
    "luftfeuchtigkeit": "humidity",
    "humidité": "humidity",
    "humidite": "humidity",
    "umidità": "humidity",
    "umidita": "humidity",
    "umidade": "humidity",
    "humidade": "humidity",
    "luchtvochtigheid": "humidity",
    "wilgotność": "humidity",
    "wilgotnosc": "humidity",
    "влажность": "humidity",
    "luftdruck": "pressure",
    "luchtdruk": "pressure",
    "presión": "pressure",
    "presion": "pressure",
    "pression": "pressure",
    "pressione": "pressure",
    "pressão": "pressure",
    "pressao": "pressure",
}
# Not taken: `Feuchte`, which may be that of soil, and `давление`, which is mostly in mmHg: 750 would pass as hPa.
_FILLER_WORDS = {"value", "val", "state", "reading", "level", "sensor", "measurement", "concentration", "weight", "mass"} | {
    "m", "um", "m3", "m³", "l", "a",
}  # fmt: skip
_UNITS = {
    "ppm": "ppm", "ppb": "ppb", "hpa": "hPa", "mbar": "mbar", "pa": "Pa", "kpa": "kPa", "mmhg": "mmHg", "inhg": "inHg",
    "c": "°C", "celsius": "°C", "degc": "°C", "f": "°F", "fahrenheit": "°F", "degf": "°F", "kelvin": "K",
    "ug": "µg/m³",
    "µg": "µg/m³", "ugm3": "µg/m³", "mg": "mg/m³", "mgm3": "mg/m³", "percent": "%", "percentage": "%", "pct": "%",
    "v": "V", "volt": "V", "volts": "V", "mv": "mV", "lx": "lx", "dbm": "dBm", "db": "dB", "dba": "dB", "bq": "Bq/m³",
    "pci": "pCi/L", "lel": "%LEL", "lfl": "%LEL",
}  # fmt: skip
_OTHER_QUANTITY_WORDS = {
    "absolute", "dew", "sea", "target", "setpoint", "set", "offset", "min", "max", "minimum", "maximum", "average", "avg",
    "mean", "internal", "cpu", "chip", "board", "mcu", "soc", "water", "soil", "surface", "skin", "body", "object", "battery",
    "batt", "delta", "diff", "trend", "alarm", "threshold", "limit", "high", "low", "calibration", "calibrated", "error", "raw",
    "heat", "feels", "apparent", "wet", "frost", "last", "previous", "desired", "wanted", "local", "calibrate", "device",
    "module", "forecast", "predicted", "expected",
    "wasser", "eau", "agua", "acqua", "boden", "suelo", "suolo", "solo", "sol", "taupunkt", "soll", "ziel", "consigne",
    "vorhersage", "prevision", "prognose", "воды", "почвы",
}  # fmt: skip
_POLLUTANT_WORDS = {"pm", "voc", "nox"}
"""The index of one pollutant is not that of the air: `pm_2_5_aqi`."""
_NEUTRAL_WORDS = {"air", "ambient", "current", "measured", "actual", "sensor", "env", "environment", "wifi"}
_PLACE_WORDS = {
    "room", "living", "bed", "bedroom", "livingroom", "kitchen", "bath", "bathroom", "office", "garage", "fridge", "freezer",
    "cellar", "basement", "attic", "hall", "hallway", "indoor", "outdoor", "inside", "outside", "in", "out", "greenhouse",
    "nursery", "kids", "dining", "study", "workshop", "shed", "balcony", "terrace", "garden", "loft", "corridor", "lab", "top",
    "bottom", "left", "right", "front", "rear", "north", "south", "east", "west", "upper", "lower", "ground", "floor", "zone",
    "ch", "channel", "probe", "sensor",
}  # fmt: skip
_CHIP = re.compile(
    r"(bm[epx]|dht|sht|shtc|sgp|scd|sen|sps|sds|pms|pmsx|hm|ccs|ens|mh|mq|mhz|senseair|am|ds|lm|htu|si|hdc|ms|qmp|hp|iaq|aht|max|tmp|"
    r"mics|ze|winsen|tgs|bh|tsl|veml|max|ltr|opt|cm|t|s|k)\d+[a-z]?\d*[a-z]?"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[CFV]$)")
_WORD = re.compile(r"[^\W_]+")  # letters of any script: `temperature_воды` is no `temperature`
_NUMBERED = re.compile(r"([a-z]{3,})(\d)", re.ASCII)
_MICROMETRES = re.compile(r"(\d+)u?m")
_WORDS_LIMIT = 4  # words of one field name: `pm_10_0` has three
_NAME_LENGTH = 128  # longer names do not match and are not cached


class Sense(NamedTuple):
    """The field that a name stands for, the unit it states (None: none), and the words before it: a chip or a place. A number
    after the measurement counts as one of them: `temperature_2` is the second of several.
    """

    field: str
    unit: str | None
    prefix: str

    @property
    def is_of_chip(self) -> bool:
        """Whether the prefix is a sensor's type and no place: it shares the series of its device, if it is the only one."""
        return is_chip(self.prefix)


def is_chip(name: str) -> bool:
    """Whether a name is that of a sensor's type: `BME280`, `scd41`."""
    return _CHIP.fullmatch(name.lower()) is not None


def sense(name: str, *, any_prefix: bool = False) -> Sense | None:
    """Return the sense of a name, or None. `any_prefix` accepts unknown words before the measurement, where a person chose the
    name of one sensor, but never those of another quantity.
    """
    return _sense(name, any_prefix) if len(name) <= _NAME_LENGTH else None


def names_other_quantity(name: str) -> bool:
    """Whether a name says that a measurement is not that of the air: a dew point, a target, the temperature of a chip."""
    return not _OTHER_QUANTITY_WORDS.isdisjoint(_WORD.findall(_CAMEL.sub("_", name[:_NAME_LENGTH]).lower()))


@lru_cache(10_000)
def _sense(name: str, any_prefix: bool) -> Sense | None:
    exact = field_name(name)
    if exact in MEASUREMENTS_BY_NAME:
        return Sense(exact, None, "")
    words = list(_words(name))
    unit, number = None, ""
    for end in range(len(words), 0, -1):
        found = _trailing_field(words[:end])
        if found is not None:
            field, prefix = found
            if not _is_prefix(prefix, any_prefix=any_prefix) or (field == "aqi" and not _POLLUTANT_WORDS.isdisjoint(prefix)):
                return None
            return Sense(field, unit, "_".join([*prefix, number] if number else prefix))
        last = words[end - 1]
        if last in _UNITS:
            if unit not in (None, _UNITS[last]) and (unit, _UNITS[last]) != ("%LEL", "%"):
                return None
            unit = unit or _UNITS[last]
        elif last.isdigit():
            number = last
        elif last not in _FILLER_WORDS:
            return None
    return None


def _words(name: str) -> Iterator[str]:
    """Yield the words of a name in lower case; `temp2` is two."""
    for word in _WORD.findall(_CAMEL.sub("_", unicodedata.normalize("NFC", name)).lower().replace("μ", "µ")):
        numbered = _NUMBERED.fullmatch(word)
        if numbered is not None and field_name(word) is None and _trailing_field([numbered[1]]) is not None:
            yield from numbered.groups()
        else:
            yield _MICROMETRES.sub(r"\1", word)


def _trailing_field(words: list[str]) -> tuple[str, list[str]] | None:
    """Return the field named by the last words, preferring the longest name, and the words before it."""
    for start in range(max(len(words) - _WORDS_LIMIT, 0), len(words)):
        found = _LONG_NAMES.get("".join(words[start:])) or field_name("_".join(words[start:]))
        if found in MEASUREMENTS_BY_NAME:
            return found, words[:start]
    return None


def _is_prefix(words: list[str], *, any_prefix: bool) -> bool:
    if any(word in _OTHER_QUANTITY_WORDS or field_name(word) is not None or word in _LONG_NAMES for word in words):
        return False
    known = _NEUTRAL_WORDS | _PLACE_WORDS
    return any_prefix or all(word in known or word.isdigit() or _CHIP.fullmatch(word) for word in words)
