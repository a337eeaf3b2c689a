"""Format esphome."""

from __future__ import annotations

import pytest

from bridge.core.formats.registry import FormatName
from bridge.core.message import Ignored
from tests.core.formats.decoding import decode, reading, rejection


@pytest.mark.parametrize(
    ("object_id", "device_id"),
    [
        ("temperature", "node-1"),
        ("node_1_temperature", "node-1"),
        ("living_room_temperature", "node-1.living_room"),
        ("fridge_temperature", "node-1.fridge"),
        ("temperature_2", "node-1.2"),
    ],
)
def test_words_beside_the_measurement_are_a_part_of_the_node(object_id: str, device_id: str) -> None:
    one = reading(FormatName.ESPHOME, b"21.5", f"node-1/sensor/{object_id}/state")
    assert (one.device_id, one.values) == (device_id, {"temperature": 21.5})


def test_binary_sensor_becomes_a_flag() -> None:
    pattern = "{deviceId}/binary_sensor/{object}/state"
    one = reading(FormatName.ESPHOME, b"ON", "node/binary_sensor/flame/state", pattern=pattern)
    assert one.values == {"flameDetected": True}


def test_nan_is_ignored_because_the_sensor_warms_up() -> None:
    assert decode(FormatName.ESPHOME, b"nan") == Ignored("room_temperature has no value yet")


def test_rejection_names_an_unknown_object_id() -> None:
    assert "'wifi_signal'" in rejection(FormatName.ESPHOME, b"-60", "node/sensor/wifi_signal/state").reason
