"""Readings and events between bridges: what is encoded is decoded unchanged, and damaged bytes raise one error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from bridge.cluster.bus import PREFERRED_BYTES
from bridge.cluster.envelope import BusFault, BusMessageError
from bridge.cluster.event_codec import (
    SHARED,
    decode_announcement,
    decode_events,
    decode_ids,
    decode_socket,
    encode_announcements,
    encode_events,
    encode_ids,
    encode_socket,
)
from bridge.core.events import ActionAdvised, AlarmChanged, AnomalyChanged, DeviceState, EntityEvent, Event, PredictionMade
from bridge.core.message import DeviceStatus, TopicEvent
from bridge.core.readings.identity import CURSOR_LIMIT
from bridge.core.readings.reading import Reading
from bridge.log.follower import Announcement

MS = 1_767_000_000_000
LOW = 1_767_000_000_000_000

EVENTS: list[Event] = [
    DeviceStatus("boiler", "online", MS),
    DeviceStatus("boiler", "é \N{SNOWMAN}", MS, is_inferred=True, is_retained=True),
    DeviceState("boiler", {"led": True, "deep": {"a.b": [1, None, "$x"]}}, MS),
    EntityEvent("sensor", "updated", "boiler", {"name": "Boiler", "site": None}, {"action": "update_sensor"}),
    EntityEvent("location", "deleted", "hall"),
    TopicEvent("predictions", {"fire": 0.25}, MS),
    AlarmChanged("boiler", "co-ceiling", MS, "raised", {"id": "a1", "seq": LOW, "value": 250.5}, "t1"),
    PredictionMade("boiler", MS, {"field": "co2", "values": [{"mean": 612.5}]}, "updated"),
    ActionAdvised("boiler", MS, {"id": "a3", "action": "ventilate", "probability": 0.62, "command": None}),
    AlarmChanged(None, "store-down", MS, "cleared", {"id": "a2", "seq": 0}),
    AnomalyChanged("boiler", MS, "detected", {"id": "a3", "kind": "stuck", "parameters": {"hours": 24.5}}),
]


def plain(seq: int, **more: Any) -> Reading:
    return Reading(ObjectId(), "boiler", {"temperature": 20.5, "aqi": 3, "flameDetected": False}, MS, MS + 7, seq=seq, **more)


def full(seq: int) -> Reading:
    return plain(
        seq,
        quality={"eco2": "not a number"},
        device_timestamp="2031-01-01T00:00:00Z",
        retained=True,
        extra={"uptime": 5, "Wifi.RSSI": -61.5, "relay": False, "fw": "é", "big": 2**53 - 1},
        part_of="gateway",
        changed_ms=MS + 9,
    )


def parts_of(announcement: Announcement[Reading]) -> list[Announcement[Reading]]:
    return [decode_announcement(body) for body in encode_announcements(announcement)]


# --- readings --------------------------------------------------------------------------------------------------------------


def test_reading_with_every_field_is_decoded_unchanged() -> None:
    sent = Announcement(LOW - 5, LOW + 4, [full(LOW), plain(LOW + 1), plain(LOW + 2, device_timestamp=0)])
    [received] = parts_of(sent)
    assert received == sent
    assert [type(value) for value in received.records[0].values.values()] == [float, int, bool]
    assert list(received.records[0].values) == ["temperature", "aqi", "flameDetected"]


def test_fields_of_a_reading_that_are_not_sent_are_those_that_are_not_published() -> None:
    given_reading = replace(full(LOW), ignored={"a": "b"}, family="tasmota")
    [received] = parts_of(Announcement(LOW - 1, LOW, [given_reading]))
    assert received.records == [replace(given_reading, ignored={}, family="")]


@pytest.mark.parametrize("value", [0, 0.0, False, ""])
def test_time_of_a_device_is_decoded_unchanged_whatever_it_is(value: Any) -> None:
    [received] = parts_of(Announcement(LOW - 1, LOW, [plain(LOW, device_timestamp=value)]))
    found = received.records[0].device_timestamp
    assert (found, type(found)) == (value, type(value))


def test_range_without_readings_is_announced() -> None:
    assert parts_of(Announcement(LOW - 5, LOW, [])) == [Announcement(LOW - 5, LOW, [])]


def test_large_range_is_announced_in_parts_that_form_a_chain() -> None:
    readings = [full(LOW + n) for n in range(2000)]
    bodies = list(encode_announcements(Announcement(LOW - 3, LOW + 2100, readings)))
    parts = [decode_announcement(body) for body in bodies]
    assert len(parts) > 3
    assert all(len(body) < PREFERRED_BYTES + 1024 for body in bodies)
    assert all(len(body) > PREFERRED_BYTES / 2 for body in bodies[:-1])
    assert [part.previous for part in parts] == [LOW - 3, *(part.high for part in parts[:-1])]
    assert parts[-1].high == LOW + 2100
    assert [one for part in parts for one in part.records] == readings


def test_part_that_ends_with_the_range_is_the_last() -> None:
    large = [plain(LOW, extra={"text": "x" * PREFERRED_BYTES})]
    assert parts_of(Announcement(LOW - 1, LOW, large)) == [Announcement(LOW - 1, LOW, large)]


# --- events ----------------------------------------------------------------------------------------------------------------


def test_every_shared_event_is_decoded_unchanged() -> None:
    assert {type(one) for one in EVENTS} == set(SHARED)
    [body] = encode_events(EVENTS)
    assert decode_events(body) == EVENTS


def test_event_of_a_state_is_decoded_as_one() -> None:
    [body] = encode_events([EntityEvent("sensor", "updated", "a", is_state=True), EntityEvent("sensor", "updated", "a")])
    assert [one.is_state for one in decode_events(body) if isinstance(one, EntityEvent)] == [True, False]


def test_many_events_are_encoded_in_parts_in_order() -> None:
    events: list[Event] = [DeviceState(f"d{n}", {"text": "x" * 1000}, MS) for n in range(1000)]
    bodies = list(encode_events(events))
    assert len(bodies) > 3
    assert all(len(body) < PREFERRED_BYTES + 2048 for body in bodies)
    assert [one for body in bodies for one in decode_events(body)] == events


def test_device_ids_are_decoded_sorted() -> None:
    assert decode_ids(encode_ids({"b", "a", "é"})) == ["a", "b", "é"]
    assert decode_ids(encode_ids(())) == []


def test_socket_is_decoded_unchanged_and_a_damaged_one_refused() -> None:
    assert decode_socket(encode_socket("é", True)) == ("é", True)
    for body in (b"", b"5", b'["a"]', b'["a",1]', b"[5,true]", b'["",true]', b'["a",true,1]'):
        with pytest.raises(BusMessageError, match="a socket is damaged"):
            decode_socket(body)


# --- damage ----------------------------------------------------------------------------------------------------------------

DECODERS = [decode_announcement, decode_events, decode_ids]

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
ROW = orjson.loads(next(iter(encode_announcements(Announcement(1, 9, [full(5)])))))[2][0]
EVENT_ROWS = orjson.loads(next(iter(encode_events(EVENTS))))


@st.composite
def nearly_valid(draw: st.DrawFn) -> bytes:
    """A valid body in which one value is another one."""
    body: Any = draw(st.sampled_from([[4, 9, [ROW, [*ROW[:5], 6, *ROW[6:]]]], [*EVENT_ROWS], ["a", "b"]]))
    body = orjson.loads(orjson.dumps(body))
    target = body
    while True:
        index = draw(st.integers(0, len(target) - 1))
        if not (isinstance(target[index], list) and target[index] and draw(st.booleans())):
            break
        target = target[index]
    target[index] = draw(json)
    return orjson.dumps(body)


def check(body: bytes) -> None:
    """Decoding raises nothing else, and what is decoded has its types."""
    for decode in DECODERS:
        try:
            found: Any = decode(body)
        except BusMessageError:
            continue
        if isinstance(found, Announcement):
            cursors = [found.previous, *(one.seq for one in found.records)]
            assert cursors == sorted(set(cursors))
            assert 0 <= cursors[0] < found.high < CURSOR_LIMIT
            assert cursors[-1] <= found.high
            for one in found.records:
                one.public()
                assert hash(one.device_id)
        elif found and not isinstance(found[0], str):
            assert {type(one) for one in found} <= set(SHARED)
            assert list(encode_events(found))
            hash(tuple(getattr(one, "device_id", "") for one in found))


@given(st.binary(max_size=200))
def test_random_bytes_raise_the_error_of_the_bus_only(body: bytes) -> None:
    check(body)


@given(json)
def test_random_json_raises_the_error_of_the_bus_only(body: Any) -> None:
    check(orjson.dumps(body))


@given(nearly_valid())
def test_body_with_one_wrong_value_raises_the_error_of_the_bus_only(body: bytes) -> None:
    check(body)


@pytest.mark.parametrize(
    "body",
    [
        [9, 9, []],
        [9, 4, []],
        [-1, 4, []],
        ["1", "4", []],
        [1.5, 4, []],
        [True, 4, []],
        [1, 2**53, []],
        [1, 9, {}],
        [1, 9, [ROW[:6]]],
        [1, 9, [ROW, ROW]],
        [5, 9, [ROW]],
        [1, 4, [ROW]],
        [1, 9, [[*ROW[:2], [], *ROW[3:]]]],
        [1, 9, [[ROW[0], 7, *ROW[2:]]]],
        [1, 9, [[*ROW[:6], 7, *ROW[7:]]]],
        [1, 9, [[*ROW[:7], {"seq": 6}]]],
        [1, 9, [[*ROW[:7], {"quality": 6}]]],
        [1, 9, [[*ROW[:7], {"is_quiet": True}]]],
    ],
)
def test_damaged_announcement_is_refused(body: Any) -> None:
    with pytest.raises(BusMessageError, match="an announcement is damaged: ") as caught:
        decode_announcement(orjson.dumps(body))
    assert caught.value.fault is BusFault.MALFORMED


@pytest.mark.parametrize(
    "row",
    [
        [],
        5,
        ["Reading", 1],
        ["DeviceStatus", "a", "online"],
        ["DeviceStatus", ["a"], "online", MS, False, False],
        ["DeviceStatus", "a", "online", "now", False, False],
        ["DeviceStatus", "a", "online", MS, False, False, 1],
        ["DeviceState", "a", [], MS],
        ["EntityEvent", "sensor", "updated", "a", None, {}, False],
        ["TopicEvent", "predictions", "x", MS],
        ["AlarmChanged", 5, "rule", MS, "raised", {}, ""],
        ["AnomalyChanged", None, MS, "detected", {}],
    ],
)
def test_damaged_event_is_refused(row: Any) -> None:
    with pytest.raises(BusMessageError, match="events are damaged: "):
        decode_events(orjson.dumps([EVENT_ROWS[0], row]))
