"""The bodies of the events, as the wire contract has them."""

from __future__ import annotations

from bson.objectid import ObjectId

from bridge.core.events import SystemEvent, connection_info, device_status, sensor_data, system_event
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading

NOW_MS = 1_767_000_000_000
NOW = "2025-12-29T09:20:00.000Z"


def test_a_client_is_told_who_it_is_and_how_many_there_are() -> None:
    assert connection_info("sid", 3) == {"clientId": "sid", "totalClients": 3}


def test_a_reading_goes_out_with_the_time_of_sending_and_its_cursor() -> None:
    reading = Reading(ObjectId(), "a", {"temperature": 25.5}, NOW_MS - 2000, NOW_MS - 1000, seq=1_767_000_000_000_000)
    body = sensor_data(reading, NOW)
    assert list(body) == ["timestamp", "data", "cursor"]
    assert body["timestamp"] == NOW
    assert body["cursor"] == 1_767_000_000_000_000
    assert body["data"] == reading.public()
    assert body["data"]["timestamp"] == "2025-12-29T09:19:58.000Z"


def test_a_devices_status_goes_out_with_its_own_time() -> None:
    assert device_status(DeviceStatus("a", "online", NOW_MS)) == {"deviceId": "a", "status": "online", "timestamp": NOW}


def test_a_system_event_has_a_level_a_message_and_data() -> None:
    event = SystemEvent("warning", "the store is away", {"since": 1})
    assert system_event(event, NOW) == {
        "level": "warning",
        "message": "the store is away",
        "data": {"since": 1},
        "timestamp": NOW,
    }


def test_a_system_event_without_data_has_an_empty_object() -> None:
    assert system_event(SystemEvent("info", "hello"), NOW)["data"] == {}
