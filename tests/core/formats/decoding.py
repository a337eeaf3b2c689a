"""Helpers that decode one message in a given format."""

from __future__ import annotations

import json
import re
from typing import Any

from bridge.core.decode import Decoder, Route
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Decoded, Rejection
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from tests.core.test_decode import assert_readable, message

PATHS = {"temperature": FieldPath.parse("t.0.val", 0.1, -40), "co2": FieldPath.parse("gas.co2")}
_LEVEL = re.compile(r"\{\w+(\.\.\.)?\}|\+")
TOPICS = {name: _LEVEL.sub("a", name.spec.usual_pattern) for name in FormatName} | {
    FormatName.SCALAR: "sensors/a/temperature",
    FormatName.ESPHOME: "a/sensor/room_temperature/state",
    FormatName.HOMEASSISTANT: "homeassistant/sensor/room_temperature/state",
    FormatName.HOMIE: "homie/a/node/temperature",
    FormatName.SPARKPLUG: "spBv1.0/group/NDATA/a",
}
"""A topic by format."""


def route(name: FormatName, pattern: str | None = None, fields: dict[str, FieldPath] | None = None) -> Route:
    parsed = TopicPattern.parse(pattern or name.spec.usual_pattern)
    if name is FormatName.MAPPING and fields is None:
        fields = PATHS
    return Route(parsed, format=make_format(name, parsed, fields))


def decode(name: FormatName, body: object, topic: str | None = None, **more: Any) -> Decoded:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    retained = more.pop("retained", False)
    return Decoder([route(name, **more)]).decode(message(payload, topic or TOPICS[name], retained=retained))


def reading(name: FormatName, body: object, topic: str | None = None, **more: Any) -> Reading:
    decoded = decode(name, body, topic, **more)
    assert isinstance(decoded, Reading), decoded
    return decoded


def rejection(name: FormatName, body: object, topic: str | None = None, **more: Any) -> Rejection:
    decoded = decode(name, body, topic, **more)
    assert isinstance(decoded, Rejection), decoded
    assert_readable(decoded.reason)
    return decoded
