"""Format zigbee2mqtt."""

from __future__ import annotations

import pytest

from bridge.core.formats.registry import FormatName
from bridge.core.message import Ignored, RejectionReason
from tests.core.formats.decoding import decode, reading, rejection
from tests.core.test_decode import OWN, OWN_MS


def test_device_object_becomes_a_reading() -> None:
    body = {
        "temperature": 21.5, "humidity": 40, "pressure": 1001, "co2": 645, "voc": 120, "pm25": 3, "battery": 97,
        "linkquality": 120, "voltage": 3000, "smoke": False, "gas": True, "carbon_monoxide": False, "last_seen": OWN_MS,
    }  # fmt: skip
    one = reading(FormatName.ZIGBEE2MQTT, body, "zigbee2mqtt/0x00158d0001a2b3c4")
    assert one.values == {
        "temperature": 21.5, "humidity": 40, "tvoc": 26.0869565217, "co2": 645, "pm25": 3, "pressure": 1001, "battery": 97,
        "batteryVoltage": 3.0,
    }  # fmt: skip
    assert (one.device_id, one.timestamp_ms, one.quality) == ("0x00158d0001a2b3c4", OWN_MS, {})
    assert one.ignored["carbon_monoxide"] == "an alarm, not a value"


@pytest.mark.parametrize("last_seen", [OWN, OWN_MS, "2025-12-29T10:19:59.500+01:00"])
def test_last_seen_is_the_timestamp(last_seen: object) -> None:
    assert reading(FormatName.ZIGBEE2MQTT, {"temperature": 1, "last_seen": last_seen}).timestamp_ms == OWN_MS


def test_rejection_quotes_a_friendly_name_that_is_no_device_id() -> None:
    one = rejection(FormatName.ZIGBEE2MQTT, {"temperature": 1}, "zigbee2mqtt/Living\u200bRoom")
    assert one.code is RejectionReason.NO_DEVICE_ID
    assert r"the topic is 'Living\u200bRoom', which contains U+200B ZERO WIDTH SPACE" in one.reason


@pytest.mark.parametrize(
    "below", ["bridge/info", "bridge/devices", "kitchen/air/availability", "kitchen/set", "kitchen/air/get"]
)
def test_topics_beside_those_of_devices_are_ignored(below: str) -> None:
    decoded = decode(FormatName.ZIGBEE2MQTT, {"temperature": 21.5}, f"zigbee2mqtt/{below}", pattern="zigbee2mqtt/{deviceId...}")
    assert isinstance(decoded, Ignored)
