"""The units that a JSON object states: beside a value, for all of its values, by field, or as a scale of temperatures."""

import re
from collections.abc import Mapping
from typing import Any

from bridge.core.errors import UnitError
from bridge.core.formats.field_names import sense
from bridge.core.readings.extraction import field_name
from bridge.core.readings.units import conversion, unit_name

VALUE_KEYS = ("value", "val", "v", "reading", "current")
_UNIT_KEYS = {"unit", "units", "uom", "unitofmeasurement", "unit_of_measurement"}
_SCALE_WORDS: Mapping[str, str] = {
    "fahrenheit": "F", "celsius": "C", "centigrade": "C", "kelvin": "K", "imperial": "F", "metric": "C",
    "uscustomary": "F", "degreesfahrenheit": "F", "degreescelsius": "C", "degf": "F", "degc": "C", "℉": "F", "℃": "C",
    "us": "F", "usa": "F", "english": "F", "si": "C", "f": "F", "c": "C", "k": "K",
}  # fmt: skip
_SPELLED = frozenset(_SCALE_WORDS) - {"us", "usa", "english", "si", "f", "c", "k"}
"""Words that state a scale whatever their key is called."""

SCALE_INITIALS = frozenset(initial for word in _SPELLED for initial in (word[0], word[0].upper())) | frozenset("_-. °")
"""The first characters of texts that may be such a word: most texts are told apart by them."""

_AFFIX = "(?:is|uses?|using|in|as|temp|temperatures?|deg|degrees?|units?|scale|system|mode|enabled)*"
_FLAG_KEY = re.compile(
    f"{_AFFIX}(fahrenheit|celsius|centigrade|kelvin|imperial|metric|(?:us|si)(?=units?)){_AFFIX}|(?:is|uses?|using)(f)"
)
_SCALE_KEY = re.compile(
    "(?:temp|temperatures?|units?|deg|degrees?)+(?:scale|systems?|format|mode|standard|units?|uom|degrees?)|scale|degrees?"
)
_DECIDING_KEY = re.compile(
    "units?(?:of)?(?:measure|measurements?)?(?:systems?|standard)|measure(?:ment)?(?:units?)?systems?|measurementunits?"
    "|temp(?:eratures?)?(?:scale|degrees?|units?(?:scale|system|mode|format))"
)
"""Keys that state a scale of temperatures whatever their value is: one that is not known must not pass as °C."""

_NAMING_KEYS = {"id", "name", "title", "label", "model", "location", "room", "site", "enseigne", "salle", "topic"}
_OF_DISPLAY = ("display", "screen", "show")  # says what the device shows, not what it sends
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KEY_LENGTH = 64
_STRIP = str.maketrans("", "", "_-. °")


def may_state_unit(key: str, value: object) -> bool:
    """Whether a key that is no field may state the unit of others."""
    lower = key.lower()
    plain = lower.translate(_STRIP)
    return (
        "unit" in lower
        or lower == "uom"
        or _FLAG_KEY.fullmatch(plain) is not None
        or _SCALE_KEY.fullmatch(plain) is not None
        or _DECIDING_KEY.fullmatch(plain) is not None
        or is_scale_word(value)
    )


def is_scale_word(value: object) -> bool:
    """Whether a value is a word such as `Fahrenheit`, which states a scale whatever its key is called."""
    return isinstance(value, str) and len(value) <= _KEY_LENGTH and value.lower().translate(_STRIP) in _SPELLED


def _temperature_scale(key: str, value: object) -> str | None:
    """Return the scale of temperatures that a key with a value states: `"fahrenheit": true`, `"scale": "F"`.

    "" if it only excludes one that is not usual, and a text that is no unit if what it states is not known; None if it states
    none.
    """
    plain = key.lower().translate(_STRIP) if len(key) <= _KEY_LENGTH else ""
    if not plain or any(word in plain for word in _OF_DISPLAY) or not isinstance(value, bool | int | str):
        return None
    flag = _flag(value)
    named = _FLAG_KEY.fullmatch(plain)
    if named is not None and flag is not None:
        word = named[1] or named[2]
        scale = _SCALE_WORDS[word]
        return scale if flag else f"not {word}" if scale == "C" else ""
    if not isinstance(value, str) or flag is not None:
        return None
    known = _SCALE_WORDS.get(value.lower().translate(_STRIP)) if len(value) <= _KEY_LENGTH else None
    is_unit, is_unit_key = unit_name(value) is not None, key.lower() in _UNIT_KEYS
    decides = _DECIDING_KEY.fullmatch(plain) is not None
    if known is None:
        return value if decides and value.strip() else None
    if is_unit:
        return known if not is_unit_key and (decides or _SCALE_KEY.fullmatch(plain) or _is_spelled(key, value)) else None
    return known if is_unit_key or decides or _is_spelled(key, value) else None


def _is_spelled(key: str, value: str) -> bool:
    """Whether a value states a scale under any key that is no field and does not name things."""
    is_free = field_name(key) is None and sense(key) is None and key.lower() not in _NAMING_KEYS
    return is_scale_word(value) and is_free


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return _FLAGS.get(str(value).strip().lower()[:8]) if isinstance(value, int | str) else None


class StatedUnits:
    """The units that an object states for its values and those of the objects in it, and the keys that state them."""

    __slots__ = ("_by_field", "_outer", "_scales", "keys", "whole")

    def __init__(self, body: Mapping[str, Any], outer: "StatedUnits | None" = None) -> None:
        self._outer = outer
        self.keys: set[str] = set()
        self.whole: str | None = None
        self._by_field: dict[str, str] = {}
        self._scales: set[str] = set()
        """The units of its temperatures, by statements such as `"fahrenheit": true`."""
        for key, value in body.items():
            scale = _temperature_scale(key, value)
            if scale is not None:
                self.keys.add(key)
                self._scales.update([scale] if scale else [])
                continue
            lower = key.lower()
            if "unit" not in lower and lower != "uom":
                continue
            if isinstance(value, dict):
                if lower.endswith(("unit", "units")) and _is_unit_table(value):
                    self._read_table(key, value)
            elif lower in _UNIT_KEYS and isinstance(value, str):
                if unit_name(value) is not None or _states_one_value(body):
                    self.keys.add(key)
                    self.whole = value
            elif isinstance(value, str) and (found := sense(_without_unit(key))) is not None:
                self.keys.add(key)
                self._by_field[found.field] = value

    def _read_table(self, key: str, table: Mapping[str, Any]) -> None:
        self.keys.add(key)
        for name, unit in table.items():
            found = sense(name)
            if found is not None and isinstance(unit, str):
                self._by_field[found.field] = unit

    def of(self, name: str) -> str | None:
        """Return the unit stated for a field. A known unit of the whole object holds for the fields of its quantity."""
        unit = self._by_field.get(name)
        if unit is None and self.whole is not None and (unit_name(self.whole) is None or _fits(name, self.whole)):
            unit = self.whole
        return self._with_scale(name, unit)

    def of_inner(self, name: str) -> str | None:
        """Return the unit stated for a field of an inner object."""
        unit = self._by_field.get(name)
        if unit is None and self.whole is not None and unit_name(self.whole) is not None and _fits(name, self.whole):
            unit = self.whole
        return self._with_scale(name, unit)

    def of_value(self, name: str) -> str | None:
        """Return the unit that an object of one value states for it."""
        return self.whole or self._scale(name)

    def _with_scale(self, name: str, unit: str | None) -> str | None:
        scale = self._scale(name)
        if unit is not None and scale is not None and unit_name(unit) != unit_name(scale):
            return f"{unit} and {scale}"
        unit = unit or scale
        return unit if unit is not None or self._outer is None else self._outer.of_inner(name)

    def _scale(self, name: str) -> str | None:
        """Return the scale of temperatures; one of no meaning if the object states two."""
        if name != "temperature" or not self._scales:
            return None
        known = {scale for scale in self._scales if unit_name(scale) is not None} or self._scales
        return " and ".join(sorted(known))


def _is_unit_table(table: Mapping[str, Any]) -> bool:
    """Whether an object has units by field, as `current_units` has, and no values: an air conditioner also has an
    `indoor_unit`.
    """
    return all(isinstance(unit, str) for unit in table.values()) and any(unit_name(unit) is not None for unit in table.values())


def _states_one_value(body: Mapping[str, Any]) -> bool:
    """Whether an object has one value, so that a unit of any spelling is the unit of that value."""
    return sum(1 for key in body if key in VALUE_KEYS or sense(key) is not None) == 1


def _fits(name: str, unit: str) -> bool:
    try:
        conversion(name, unit)
    except UnitError:
        return False
    return True


def _without_unit(key: str) -> str:
    """Return `temperature` of `temperature_unit`, `temperatureUnits` and `unit_temperature`."""
    lower = key.lower()
    for ending in ("_units", "_unit", "units", "unit"):
        if lower.endswith(ending):
            return key[: -len(ending)]
    return key[len("unit") :].strip("_") if lower.startswith("unit") else key
