"""Gateways that speak for several devices: each keeps its own series, in any order and after a restart."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from bridge.core.decode import Decoder
from bridge.core.devices.profiles import Profiles
from bridge.core.formats.registry import FormatName
from bridge.core.readings.reading import Reading
from tests.core.formats.decoding import route
from tests.core.test_decode import message

RTL_433 = [
    {"time": "2026-11-28 10:00:00", "model": "Tower", "id": number, "temperature_C": 20 + number} for number in (1, 2, 3)
]
THEENGS = [{"id": f"A4:C1:38:00:00:0{number}", "tempc": 20 + number, "rssi": -60} for number in (1, 2, 3)]
SHELLY = [{f"temperature:{number}": {"id": number, "tC": number - 80}} for number in (100, 101, 102)]
NOTIFICATIONS = [{"src": "relay", "method": "NotifyStatus", "params": params} for params in SHELLY]


@pytest.mark.parametrize(
    ("name", "pattern", "topic", "bodies", "devices"),
    [
        (
            FormatName.RTL_433, "rtl_433/+/events", "rtl_433/attic/events", RTL_433,
            {"Tower-1": 21, "Tower-2": 22, "Tower-3": 23},
        ),
        (
            FormatName.RTL_433, "rtl_433/{deviceId}/events", "rtl_433/attic/events", RTL_433,
            {"attic.Tower-1": 21, "attic.Tower-2": 22, "attic.Tower-3": 23},
        ),
        (
            FormatName.THEENGS, "home/+/BTtoMQTT", "home/gateway/BTtoMQTT", THEENGS,
            {"A4C138000001": 21, "A4C138000002": 22, "A4C138000003": 23},
        ),
        (
            FormatName.SHELLY, "{deviceId}/events/rpc", "relay/events/rpc", NOTIFICATIONS,
            {"relay.100": 20, "relay.101": 21, "relay.102": 22},
        ),
    ],
)  # fmt: skip
def test_devices_of_one_topic_keep_their_series_in_any_order(
    name: FormatName, pattern: str, topic: str, bodies: list[dict[str, object]], devices: dict[str, float]
) -> None:
    for order in permutations(bodies):
        profiles = Profiles()
        for body in order:
            decoder = Decoder([route(name, pattern)], profiles=profiles)  # a restart before each message
            decoded = decoder.decode(message(json.dumps(body).encode(), topic))
            assert isinstance(decoded, Reading), decoded
            assert devices[decoded.device_id] == decoded.values["temperature"]
