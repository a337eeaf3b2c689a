"""The payload formats. Each only finds the values of a message and names their fields and units: conversion, ranges, quality,
parts, time and identity are handled by `decode.py`, for all formats alike.

To add a family, write its file with a `SPEC` and add one line to `FormatName`, its samples to `tests/payloads/`.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Self

from bridge.core.binary import EncodingFault
from bridge.core.errors import FormatError
from bridge.core.formats import json, mapping, scalar
from bridge.core.formats.encodings import binary, influx, senml, sparkplug, telegraf
from bridge.core.formats.format import Format, FormatSpec, Parsed
from bridge.core.formats.homes import esphome, homeassistant, homie, rtl_433, shelly, tasmota, theengs, zigbee2mqtt
from bridge.core.formats.mapping import FieldPath, MappingFormat, field_mistakes
from bridge.core.formats.networks import chirpstack, dragino, milesight, thingsboard, ttn
from bridge.core.formats.payload import Payload
from bridge.core.formats.stations import airgradient, airlink, awair, ecowitt, enviro, purpleair, sensorcommunity
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError, check_size
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.topic import TopicPattern


class FormatName(enum.StrEnum):
    """The payload format of a subscription; each member is the name of its `spec`."""

    spec: FormatSpec

    def __new__(cls, spec: FormatSpec) -> Self:
        member = str.__new__(cls, spec.name)
        member._value_ = spec.name
        member.spec = spec
        return member

    AUTO = FormatSpec("auto", "sensors/{deviceId}/data", (), None)
    JSON = json.SPEC
    SCALAR = scalar.SPEC
    TASMOTA = tasmota.SPEC
    ESPHOME = esphome.SPEC
    ZIGBEE2MQTT = zigbee2mqtt.SPEC
    AIRGRADIENT = airgradient.SPEC
    AIRLINK = airlink.SPEC
    AWAIR = awair.SPEC
    CHIRPSTACK = chirpstack.SPEC
    DRAGINO = dragino.SPEC
    ECOWITT = ecowitt.SPEC
    ENVIRO = enviro.SPEC
    MILESIGHT = milesight.SPEC
    PURPLEAIR = purpleair.SPEC
    SENSORCOMMUNITY = sensorcommunity.SPEC
    TTN = ttn.SPEC
    MAPPING = mapping.SPEC
    HOMEASSISTANT = homeassistant.SPEC
    HOMIE = homie.SPEC
    INFLUX = influx.SPEC
    RTL_433 = rtl_433.SPEC
    SENML = senml.SPEC
    SHELLY = shelly.SPEC
    SPARKPLUG = sparkplug.SPEC
    TELEGRAF = telegraf.SPEC
    THEENGS = theengs.SPEC
    THINGSBOARD = thingsboard.SPEC
    CBOR = binary.CBOR
    MSGPACK = binary.MSGPACK


_FAMILIES = tuple(name for name in FormatName if name.spec.recognizes is not None)
SIGNS: frozenset[str] = frozenset().union(*(name.spec.signs for name in _FAMILIES))
"""An object of scalars without any of these keys is of no family, at a topic that is of none."""


def auto_format(payload: Payload) -> Parsed:
    """Parse a payload of any family that is recognized, in the order of `FormatName`; any other as JSON, or as one value if the
    topic names a field.
    """
    family = recognized(payload)
    if family is not None:
        return _read(family, payload)
    is_value = "field" in payload.captures and not isinstance(payload.json_or_none(), dict | list)
    return _read(FormatName.SCALAR if is_value else FormatName.JSON, payload)


def recognized(payload: Payload, families: Iterable[FormatName] = _FAMILIES) -> FormatName | None:
    """Return the family of a payload, None if it is of none."""
    return next((name for name in families if name.spec.recognizes is not None and name.spec.recognizes(payload)), None)


def is_family_topic(topic: str, captures: Mapping[str, str]) -> bool:
    """Whether a family recognizes even an empty object at a topic, so that no object there is read without asking it."""
    return recognized(Payload(b"{}", topic, captures, parsed={})) is not None


def recognized_by_signs(payload: Payload, body: Mapping[str, object]) -> FormatName | None:
    """Return the family of an object of scalars, at a topic that is of none."""
    return recognized(payload, (name for name in _FAMILIES if not name.spec.signs.isdisjoint(body)))


def _read(name: FormatName, payload: Payload) -> Parsed:
    """Parse a payload in a format that needs no settings of its own."""
    if name.spec.unpack is not None:
        return _unpacked(name, payload)
    parsed = (name.spec.parse or json.json_format)(payload)
    parsed.family = name.value
    return parsed


def _unpacked(name: FormatName, payload: Payload) -> Parsed:
    check_size(payload.data)
    try:
        payload.parsed = name.spec.unpack(payload.data) if name.spec.unpack else None
    except EncodingFault as error:
        raise PayloadError(RejectionReason.NOT_JSON, str(error)) from None
    parsed = auto_format(payload)
    if parsed.family == FormatName.JSON:
        parsed.family = name.value
    return parsed


def ignored_topics(name: FormatName, pattern: TopicPattern) -> tuple[TopicPattern, ...]:
    """Return the topics that carry no reading in the family of a subscription. Where the family is not known, they are those of
    all families whose topics begin with a name of their own.
    """
    if name is not FormatName.AUTO:
        return tuple(_ignored(name.spec, pattern))
    usual = ((family.spec, TopicPattern.parse(family.spec.usual_pattern)) for family in FormatName)
    return tuple(topic for spec, pattern in usual if pattern.names[0] is None for topic in _ignored(spec, pattern))


def _ignored(spec: FormatSpec, pattern: TopicPattern) -> Iterator[TopicPattern]:
    """Yield the topics below the levels of `pattern` before its first named one."""
    named = next((index for index, level in enumerate(pattern.names) if level is not None), 0)
    for topic in spec.ignore:
        yield TopicPattern.parse("/".join((*pattern.levels[:named], topic)))


def make_format(name: FormatName, pattern: TopicPattern, fields: Mapping[str, FieldPath] | None = None) -> Format:
    """Return the format for topics of `pattern`; `fields` are for a mapping. Raises `FormatError` with every mistake."""
    fields = fields or {}
    if mistakes := list(_mistakes(name, pattern, fields)):
        raise FormatError("; ".join(mistakes))
    if name is FormatName.AUTO:
        return auto_format
    if name.spec.unpack is not None:
        return partial(_unpacked, name)
    return name.spec.parse or MappingFormat(fields)


def _mistakes(name: FormatName, pattern: TopicPattern, fields: Mapping[str, FieldPath]) -> Iterator[str]:
    for level in name.spec.levels:
        if level not in pattern.names:
            yield f"format {name} needs a level {{{level}}} in its pattern, as in {name.spec.usual_pattern}"
    if name is FormatName.MAPPING:
        if not MEASUREMENTS_BY_NAME.keys() & fields.keys():
            yield "format mapping needs `fields` with the path of a measurement"
        if "deviceId" not in pattern.names and "deviceId" not in fields:
            yield "format mapping needs a level {deviceId} in its pattern, or the path of `deviceId` among its fields"
    elif fields:
        yield f"`fields` are for format mapping, not for {name}"
    for field, path in fields.items():
        yield from field_mistakes(field, path)
