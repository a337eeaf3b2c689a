"""Format esphome."""

from __future__ import annotations

from bridge.core.formats.registry import FormatName
from tests.core.formats.decoding import reading, rejection


def test_sensor_becomes_a_reading_with_one_field() -> None:
    one = reading(FormatName.ESPHOME, b"21.5", "node-1/sensor/living_room_temperature/state")
    assert (one.device_id, one.values) == ("node-1", {"temperature": 21.5})


def test_binary_sensor_becomes_a_flag() -> None:
    pattern = "{deviceId}/binary_sensor/{object}/state"
    one = reading(FormatName.ESPHOME, b"ON", "node/binary_sensor/flame/state", pattern=pattern)
    assert one.values == {"flameDetected": True}


def test_nan_is_rejected_with_its_field() -> None:
    assert rejection(FormatName.ESPHOME, b"nan").field == "temperature"


def test_rejection_names_an_unknown_object_id() -> None:
    assert "'wifi_signal'" in rejection(FormatName.ESPHOME, b"-60", "node/sensor/wifi_signal/state").reason
