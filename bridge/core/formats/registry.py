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
from collections.abc import Iterator, Mapping

from bridge.core.errors import FormatError
from bridge.core.formats.esphome import esphome_format
from bridge.core.formats.format import Format
from bridge.core.formats.json import json_format
from bridge.core.formats.mapping import FieldPath, MappingFormat
from bridge.core.formats.scalar import scalar_format
from bridge.core.formats.tasmota import tasmota_format
from bridge.core.formats.zigbee2mqtt import zigbee2mqtt_format
from bridge.core.payload import quote
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag
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
        if not MEASUREMENTS_BY_NAME.keys() & fields.keys():
            yield "format mapping needs `fields` with the path of a measurement"
        if "deviceId" not in pattern.names and "deviceId" not in fields:
            yield "format mapping needs a level {deviceId} in its pattern, or the path of `deviceId` among its fields"
    elif fields:
        yield f"`fields` are for format mapping, not for {name}"
    for field, path in fields.items():
        yield from _field_mistakes(field, path)


def _field_mistakes(name: str, path: FieldPath) -> Iterator[str]:
    if name not in MEASUREMENTS_BY_NAME and name not in _OTHER_FIELDS:
        yield f"fields.{quote(name)[1:-1]} is no field; there are {', '.join((*MEASUREMENTS_BY_NAME, *_OTHER_FIELDS))}"
    elif path.converts and (name in _OTHER_FIELDS or isinstance(MEASUREMENTS_BY_NAME[name], Flag)):
        yield f"fields.{name} is no number and has no scale or offset"
    elif not (math.isfinite(path.scale) and path.scale and math.isfinite(path.offset)):
        yield f"fields.{name}: scale and offset are finite numbers, and scale is not 0"


# --- one value ---------------------------------------------------------------------------------------------------------


# --- objects -----------------------------------------------------------------------------------------------------------


# --- any JSON, by paths ------------------------------------------------------------------------------------------------

_OTHER_FIELDS = ("aqiScale", "deviceId", "timestamp")


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
