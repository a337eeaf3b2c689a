"""Message bodies of events, as in the wire contract."""

from __future__ import annotations

from bson.objectid import ObjectId

from bridge.core.events import (
    DeviceState,
    SystemEvent,
    connection_info,
    device_of,
    device_state,
    device_status,
    sensor_data,
    system_event,
)
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading

NOW_MS = 1_767_000_000_000
NOW = "2025-12-29T09:20:00.000Z"


def test_connection_info_has_client_id_and_total() -> None:
    assert connection_info("sid", 3) == {"clientId": "sid", "totalClients": 3}


def test_sensor_data_has_the_time_of_sending_and_the_cursor() -> None:
    reading = Reading(ObjectId(), "a", {"temperature": 25.5}, NOW_MS - 2000, NOW_MS - 1000, seq=1_767_000_000_000_000)
    body = sensor_data(reading, NOW)
    assert list(body) == ["timestamp", "data", "cursor"]
    assert body["timestamp"] == NOW
    assert body["cursor"] == 1_767_000_000_000_000
    assert body["data"] == reading.public()
    assert body["data"]["timestamp"] == "2025-12-29T09:19:58.000Z"


def test_device_status_has_the_time_of_the_status() -> None:
    assert device_status(DeviceStatus("a", "online", NOW_MS)) == {"deviceId": "a", "status": "online", "timestamp": NOW}


def test_device_state_has_the_whole_state_and_is_of_its_device() -> None:
    event = DeviceState("a", {"status": "работает", "servo1": 90}, NOW_MS)
    assert device_state(event) == {"deviceId": "a", "state": {"status": "работает", "servo1": 90}, "timestamp": NOW}
    assert device_of(event) == "a"


def test_system_event_has_level_message_and_data() -> None:
    event = SystemEvent("warning", "store unavailable", {"since": 1})
    assert system_event(event, NOW) == {
        "level": "warning",
        "message": "store unavailable",
        "data": {"since": 1},
        "timestamp": NOW,
    }


def test_system_event_without_data_has_an_empty_object() -> None:
    assert system_event(SystemEvent("info", "hello"), NOW)["data"] == {}
