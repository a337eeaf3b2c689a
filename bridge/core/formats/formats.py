"""The formats a payload can have. Each finds the values and names them as `take_apart` knows them, and does no more:
ranges, aliases, quality, time and identity are judged in one place, `decode.py`, for all of them.

| format | what is in a message | levels its pattern must have |
|---|---|---|
| json | one object with our names or their aliases | |
| scalar | one value | {deviceId}, {field} |
| tasmota | an object with one object per sensor, as on tele/…/SENSOR and …/STATE | {deviceId} |
| esphome | one value; the object id ends in the field's name | {deviceId}, {object} |
| zigbee2mqtt | one object with the names of Zigbee2MQTT | {deviceId} |
| mapping | any JSON; each field has its path | {deviceId}, unless `deviceId` has a path |
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.core.decode import (
    JSON_TYPES,
    Format,
    PayloadError,
    Reason,
    check_size,
    json_format,
    listed,
    parse_json,
    parse_object,
    shown,
)
from bridge.core.errors import FormatError
from bridge.core.formats.field_names import measurement_in
from bridge.core.readings.reading import MEASUREMENT, Flag, number
from bridge.core.topic import TopicPattern


class FormatName(enum.StrEnum):
    """How the messages of a subscription are written."""

    JSON = "json"
    SCALAR = "scalar"
    TASMOTA = "tasmota"
    ESPHOME = "esphome"
    ZIGBEE2MQTT = "zigbee2mqtt"
    MAPPING = "mapping"


USUAL_PATTERNS: Mapping[FormatName, str] = {
    FormatName.JSON: "sensors/{deviceId}/data",
    FormatName.SCALAR: "sensors/{deviceId}/{field}",
    FormatName.TASMOTA: "tele/{deviceId}/SENSOR",
    FormatName.ESPHOME: "{deviceId}/sensor/{object}/state",
    FormatName.ZIGBEE2MQTT: "zigbee2mqtt/{deviceId}",
    FormatName.MAPPING: "sensors/{deviceId}/data",
}
"""Where the messages of a format are by default."""


def make_format(name: FormatName, pattern: TopicPattern, fields: Mapping[str, FieldPath] | None = None) -> Format:
    """The format, for topics of `pattern`; `fields` are for a mapping. Raises `FormatError` with all that does not fit."""
    fields = fields or {}
    if mistakes := list(_mistakes(name, pattern, fields)):
        raise FormatError("; ".join(mistakes))
    return MappingFormat(fields) if name is FormatName.MAPPING else _FORMATS[name]


def _mistakes(name: FormatName, pattern: TopicPattern, fields: Mapping[str, FieldPath]) -> Iterator[str]:
    for level in _LEVELS[name]:
        if level not in pattern.names:
            yield f"format {name} needs a level {{{level}}} in its pattern, as in {USUAL_PATTERNS[name]}"
    if name is FormatName.MAPPING:
        if not MEASUREMENT.keys() & fields.keys():
            yield "format mapping needs `fields` with the path of a measurement"
        if "deviceId" not in pattern.names and "deviceId" not in fields:
            yield "format mapping needs a level {deviceId} in its pattern, or the path of `deviceId` among its fields"
    elif fields:
        yield f"`fields` are for format mapping, not for {name}"
    for field, path in fields.items():
        yield from _field_mistakes(field, path)


def _field_mistakes(name: str, path: FieldPath) -> Iterator[str]:
    if name not in MEASUREMENT and name not in _OTHER_FIELDS:
        yield f"fields.{shown(name)[1:-1]} is no field; there are {', '.join((*MEASUREMENT, *_OTHER_FIELDS))}"
    elif path.converts and (name in _OTHER_FIELDS or isinstance(MEASUREMENT[name], Flag)):
        yield f"fields.{name} is no number and has no scale or offset"
    elif not (math.isfinite(path.scale) and path.scale and math.isfinite(path.offset)):
        yield f"fields.{name}: scale and offset are finite numbers, and scale is not 0"


# --- one value ---------------------------------------------------------------------------------------------------------


def scalar_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:
    """`21.5`, `ON`, `true` or a JSON scalar; the level {field} names it."""
    return {named["field"]: _one_value(payload)}


def esphome_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:
    """One value; the object id names it: `living_room_temperature`, `pm_2_5m_concentration`, `co2_value`."""
    return {measurement_in(named["object"]) or named["object"]: _one_value(payload)}


def _one_value(payload: bytes) -> object:
    check_size(payload)
    text = payload.decode("utf-8", "replace").strip()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text or None
    if value is None:
        raise PayloadError(Reason.NO_MEASUREMENT, f"no measurement: the payload is {'null' if text else 'empty'}")
    if isinstance(value, dict | list):
        raise PayloadError(Reason.NOT_SCALAR, f"not one value but {JSON_TYPES[type(value)]}")
    return value


# --- objects -----------------------------------------------------------------------------------------------------------


def tasmota_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - the payload has it all
    """`{"Time": …, "AM2301": {"Temperature": …}, "TempUnit": "C"}`; of two sensors with one quantity the first counts.

    `Time` without a zone is UTC, as every time here. Fahrenheit, mmHg and inHg become °C and hPa.
    """
    body = parse_object(payload)
    raw: dict[str, Any] = {"timestamp": body.pop("Time", None)}
    for sensor, key, value in _by_sensor(body):
        name = measurement_in(key.lower())  # or `aHumidity`, g/m³, would end in a humidity
        if name is None or raw.get(name) is not None or (name == "temperature" and sensor.startswith(_WARM_CHIPS)):
            raw.setdefault(f"{sensor}.{key}" if sensor else key, value)
        else:
            raw[name] = _in_our_unit(name, value, body)
    return raw


_WARM_CHIPS = ("ESP32", "MHZ19")  # they tell their own temperature, not that of the air
_HPA = {"mmHg": 1.33322387, "inHg": 33.8638867}
_TASMOTA_UNITS = {"TempUnit", "PressureUnit", "SpeedUnit"}


def _by_sensor(body: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in body.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                yield key, inner, inner_value
        elif key not in _TASMOTA_UNITS:
            yield "", key, value


def _in_our_unit(name: str, value: object, body: Mapping[str, Any]) -> object:
    if name == "temperature" and body.get("TempUnit") == "F":
        return linear(value, 1 / 1.8, -32 / 1.8)
    unit = body.get("PressureUnit")
    return linear(value, _HPA[unit]) if name == "pressure" and isinstance(unit, str) and unit in _HPA else value


def zigbee2mqtt_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    """An object; `voc` is our `tvoc`, `last_seen` the timestamp. `smoke`, `gas` and `carbon_monoxide` are flags of which
    we have no field: like `linkquality` they are unknown keys.
    """
    body = parse_object(payload)
    for theirs, ours in _ZIGBEE2MQTT_NAMES.items():
        if theirs in body:
            body.setdefault(ours, body.pop(theirs))
    return body


_ZIGBEE2MQTT_NAMES = {"voc": "tvoc", "last_seen": "timestamp"}


# --- any JSON, by paths ------------------------------------------------------------------------------------------------

_OTHER_FIELDS = ("aqiScale", "deviceId", "timestamp")
_PATH = re.compile(r"(?:[^.\\]|\\[.\\])+(?:\.(?:[^.\\]|\\[.\\])+)*")
_STEP = re.compile(r"(?:[^.\\]|\\[.\\])+")
_ESCAPED = re.compile(r"\\(.)")
PATH_LENGTH = 256
_INDEX = re.compile(r"\d{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FieldPath:
    """Where a field stands: `a.b.0.c` is key c of the first item of list b of object a. A dot within a key is written `\\.`,
    a backslash `\\\\`. A number found there, times `scale` plus `offset`, is in the field's unit.
    """

    text: str
    steps: tuple[str, ...]
    scale: float = 1
    offset: float = 0

    @classmethod
    def parse(cls, text: str, scale: float = 1, offset: float = 0) -> FieldPath:
        """Read a path; raises `FormatError`."""
        if len(text) > PATH_LENGTH or not _PATH.fullmatch(text):
            raise FormatError(
                f"{shown(text)} is no path; one looks like a.b.0.c, has at most {PATH_LENGTH} characters and no empty step, "
                "and in a key a dot is written \\. and a backslash \\\\"
            )
        return cls(text, tuple(_ESCAPED.sub(r"\1", step) for step in _STEP.findall(text)), scale, offset)

    @property
    def converts(self) -> bool:
        """The number found is not yet in the field's unit."""
        return self.scale != 1 or self.offset != 0

    def find(self, body: object) -> object:
        """The value, converted; None where there is none."""
        for step in self.steps:
            if isinstance(body, dict):
                body = body.get(step)
            elif isinstance(body, list) and _INDEX.fullmatch(step) and int(step) < len(body):
                body = body[int(step)]
            else:
                return None
        return linear(body, self.scale, self.offset) if self.converts else body


def linear(raw: object, scale: float, offset: float = 0) -> object:
    """A number times `scale` plus `offset`, without the noise of binary fractions; anything else as it is."""
    value = number(raw)
    return raw if value is None else float(f"{value * scale + offset:.12g}")


@dataclass(frozen=True, slots=True)
class MappingFormat:
    """Each field from its own path; what has no path is not looked at."""

    fields: Mapping[str, FieldPath]

    def __call__(self, payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG002
        """As every `Format`."""
        body = parse_json(payload)
        if not isinstance(body, dict | list):
            raise PayloadError(Reason.NOT_OBJECT, f"not a JSON object or list but {JSON_TYPES[type(body)]}")
        raw = {name: path.find(body) for name, path in self.fields.items()}
        if all(raw[name] is None for name in raw if name in MEASUREMENT):
            paths = [shown(path.text) for name, path in self.fields.items() if name in MEASUREMENT]
            raise PayloadError(Reason.NO_MEASUREMENT, f"no measurement: nothing stands at {listed(paths)}")
        return raw


_FORMATS: Mapping[FormatName, Format] = {
    FormatName.JSON: json_format,
    FormatName.SCALAR: scalar_format,
    FormatName.TASMOTA: tasmota_format,
    FormatName.ESPHOME: esphome_format,
    FormatName.ZIGBEE2MQTT: zigbee2mqtt_format,
}
_LEVELS: Mapping[FormatName, tuple[str, ...]] = {
    FormatName.JSON: (),
    FormatName.SCALAR: ("deviceId", "field"),
    FormatName.TASMOTA: ("deviceId",),
    FormatName.ESPHOME: ("deviceId", "object"),
    FormatName.ZIGBEE2MQTT: ("deviceId",),
    FormatName.MAPPING: (),
}
