"""Zigbee2MQTT: one object with its own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.payload import parse_object


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
