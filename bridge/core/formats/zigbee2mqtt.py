"""Zigbee2MQTT: one object with its own names."""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.format import FormatSpec
from bridge.core.payload import parse_object

_NAMES = {"voc": "tvoc", "last_seen": "timestamp"}


def zigbee2mqtt_format(payload: bytes, captures: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    """Rename `voc` to `tvoc` and `last_seen` to `timestamp`. `smoke`, `gas` and `carbon_monoxide` are flags without a field
    in the bridge: like `linkquality` they stay unknown keys.
    """
    body = parse_object(payload)
    for key, field in _NAMES.items():
        if key in body:
            body.setdefault(field, body.pop(key))
    return body


SPEC = FormatSpec("zigbee2mqtt", "zigbee2mqtt/{deviceId}", ("deviceId",), zigbee2mqtt_format)
