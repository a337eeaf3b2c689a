"""The measurement that a name from elsewhere means: `CarbonDioxide`, `living_room_temperature`, `pm_2_5m_concentration`.

Only where it is sure: a name that ends in a measurement, or goes on with words that change nothing. `battery_voltage`,
`absolute_humidity` and `temperature_f` are other quantities or other units, and mean nothing here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bridge.core.readings.fields import field_name
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
_HARMLESS = {"value", "val", "state", "reading", "level", "sensor", "measurement", "percent", "percentage"} | {
    "concentration", "weight", "mass", "m", "um", "m3"
}  # fmt: skip
_UNITS = {"ppm": "ppm", "ppb": "ppb", "hpa": "hPa", "mbar": "hPa", "c": "°C", "celsius": "°C", "ug": "µg/m³"}
_OTHERWISE = {"absolute", "dew", "sea", "target", "setpoint", "offset", "min", "max", "average"} | {
    "internal", "cpu", "chip", "board"
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z0-9]+")
_MICROMETRES = re.compile(r"(\d+)u?m")
_LONGEST_RUN = 4  # words: `pm_10_0` has three
_NAME_LENGTH = 128  # a longer name means nothing, and must not sit in the cache


def match_field(name: str) -> str | None:
    """The field that `name` means, or None."""
    return _measurement_in(name) if len(name) <= _NAME_LENGTH else None


@lru_cache(10_000)
def _measurement_in(name: str) -> str | None:
    words = [_MICROMETRES.sub(r"\1", word) for word in _WORD.findall(_CAMEL.sub("_", name).lower())]
    if _OTHERWISE & set(words):
        return None
    for end in range(len(words), 0, -1):
        if (found := _ending(words[:end])) is not None:
            unit = MEASUREMENTS_BY_NAME[found].unit
            return found if all(_UNITS.get(word, unit) == unit for word in words[end:]) else None
        last = words[end - 1]
        if not (last in _HARMLESS or last in _UNITS or last.isdigit()):
            return None
    return None


def _ending(words: list[str]) -> str | None:
    """The measurement that the last words name, the more of them the better."""
    for start in range(max(len(words) - _LONGEST_RUN, 0), len(words)):
        found = _LONG_NAMES.get("".join(words[start:])) or field_name("_".join(words[start:]))
        if found in MEASUREMENTS_BY_NAME:
            return found
    return None
