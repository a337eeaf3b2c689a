"""Matching of foreign names to fields: `CarbonDioxide`, `living_room_temperature`, `pm_2_5m_concentration`.

A name matches only if it ends with a measurement, apart from trailing words without their own meaning. `battery_voltage`,
`absolute_humidity` and `temperature_f` are other quantities or units and do not match.
"""

import re
from functools import lru_cache

from bridge.core.readings.extraction import field_name
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

_LONG_NAMES = {
    "carbondioxide": "co2",
    "carbonmonoxide": "coPpm",
    "co2equivalent": "eco2",
    "equivalentco2": "eco2",
    "airqualityindex": "aqi",
    "methane": "ch4Ppm",
    "flame": "flameDetected",
}
_FILLER_WORDS = {"value", "val", "state", "reading", "level", "sensor", "measurement", "percent", "percentage"} | {
    "concentration", "weight", "mass", "m", "um", "m3"
}  # fmt: skip
_UNITS = {"ppm": "ppm", "ppb": "ppb", "hpa": "hPa", "mbar": "hPa", "c": "°C", "celsius": "°C", "ug": "µg/m³"}
_OTHER_QUANTITY_WORDS = {"absolute", "dew", "sea", "target", "setpoint", "offset", "min", "max", "average"} | {
    "internal", "cpu", "chip", "board"
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z0-9]+")
_MICROMETRES = re.compile(r"(\d+)u?m")
_WORDS_LIMIT = 4  # words of one field name: `pm_10_0` has three
_NAME_LENGTH = 128  # longer names do not match and are not cached


def match_field(name: str) -> str | None:
    """Return the field that `name` stands for, or None."""
    return _match(name) if len(name) <= _NAME_LENGTH else None


@lru_cache(10_000)
def _match(name: str) -> str | None:
    words = [_MICROMETRES.sub(r"\1", word) for word in _WORD.findall(_CAMEL.sub("_", name).lower())]
    if _OTHER_QUANTITY_WORDS & set(words):
        return None
    for end in range(len(words), 0, -1):
        if (found := _trailing_field(words[:end])) is not None:
            unit = MEASUREMENTS_BY_NAME[found].unit
            return found if all(_UNITS.get(word, unit) == unit for word in words[end:]) else None
        last = words[end - 1]
        if not (last in _FILLER_WORDS or last in _UNITS or last.isdigit()):
            return None
    return None


def _trailing_field(words: list[str]) -> str | None:
    """Return the field named by the last words, preferring the longest name."""
    for start in range(max(len(words) - _WORDS_LIMIT, 0), len(words)):
        found = _LONG_NAMES.get("".join(words[start:])) or field_name("_".join(words[start:]))
        if found in MEASUREMENTS_BY_NAME:
            return found
    return None
