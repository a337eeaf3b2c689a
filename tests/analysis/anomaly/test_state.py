"""The state of a device is one bounded document: it restores exactly, and folding the same readings again changes nothing."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.analysis.anomaly.changes import AnomalyRecord
from bridge.analysis.anomaly.device import DeviceAnomalies
from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEvent, AnomalyEventKind, AnomalyOutcome, anomaly_from_document
from bridge.analysis.anomaly.sentences import sentence
from bridge.analysis.anomaly.standing import HIGHEST_FACTOR, RECENT_LIMIT
from bridge.analysis.anomaly.traits import TRAITS
from bridge.core.errors import RecordError
from bridge.core.readings.measurements import MEASUREMENTS, Flag, Value
from bridge.core.readings.reading import Reading
from tests.analysis.anomaly.series import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    SimulatedRooms,
    folded,
    reading,
    saturated,
    series,
    step,
)
from tests.analysis.anomaly.test_rules import FEW_MINUTES_MS, air, changed, forecast

NUMBERS = [one.name for one in MEASUREMENTS if not isinstance(one, Flag)]
FINITE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, 0.0, -0.0, 400, 2000, 100, 65_535, 1e308, -1e308, 5e-324, True]),
)


def restored(document: dict[str, Any]) -> dict[str, Any]:
    """The document after a way through JSON and back."""
    return DeviceAnomalies.from_document(orjson.loads(orjson.dumps(document)), forecast).to_document()


def strict(document: dict[str, Any]) -> bytes:
    """The document as JSON; `orjson` writes NaN and infinity as null, `json` refuses them."""
    return json.dumps(document, allow_nan=False).encode()


@st.composite
def runs(draw: st.DrawFn) -> list[Reading]:
    """Some runs of readings of any finite values, flagged or not, with pauses between them."""
    at_ms, readings = START_MS, list[Reading]()
    names = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4, unique=True))
    for _ in range(draw(st.integers(1, 5))):
        every_ms = draw(st.sampled_from([1, 5000, MINUTE_MS, HOUR_MS, 5 * HOUR_MS]))
        values = {name: draw(st.lists(FINITE, min_size=1, max_size=4)) for name in names}
        flags = draw(st.sampled_from([{}, {}, {names[0]: "outside 0..1"}, {names[0]: "sensor failure: 1 is a code"}]))
        for number in range(draw(st.integers(1, 40))):
            at_ms += every_ms
            one: dict[str, Value] = {name: given[number % len(given)] for name, given in values.items()}
            readings.append(Reading(_ID, "kitchen", one, at_ms, at_ms, dict(flags), seq=len(readings) + 1))
        at_ms += draw(st.sampled_from([0, HOUR_MS, DAY_MS, 20 * DAY_MS, -2 * HOUR_MS]))
    return readings


_ID = reading("kitchen", START_MS, {}).id
some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@some
@given(runs())
def test_any_finite_values_are_folded_without_an_error_and_without_nan(readings: list[Reading]) -> None:
    device = DeviceAnomalies("kitchen", forecast)
    for one in readings:
        for event in device.step(one):
            strict(event.anomaly.to_document())
            assert "{" not in sentence(event.anomaly)
    strict(device.to_document())


@some
@given(runs(), st.integers(0, 200))
def test_restored_state_and_the_same_readings_again_give_the_same_events(readings: list[Reading], cut: int) -> None:
    whole, first = DeviceAnomalies("kitchen", forecast), DeviceAnomalies("kitchen", forecast)
    expected = [event for one in readings for event in whole.step(one)]
    events = [event for one in readings[:cut] for event in first.step(one)]
    document = first.to_document()
    assert restored(document) == document
    second = DeviceAnomalies.from_document(orjson.loads(orjson.dumps(document)), forecast)
    assert [event for one in readings[:cut] for event in second.step(one)] == []
    assert second.to_document() == document
    events += [event for one in readings for event in second.step(one)]
    assert events == expected
    assert second.to_document() == whole.to_document()


def test_rooms_restored_at_every_day_give_the_same_events() -> None:
    rooms = SimulatedRooms(6, 36, 20 * MINUTE_MS, 5, {"room0-0": step("co2", 1500, 30 * DAY_MS)})
    readings = list(rooms.readings())
    expected = folded(readings, AnomalyFold(room_of=rooms.room_of))
    assert expected
    events: list[AnomalyEvent] = []
    documents: dict[str, dict[str, Any]] = {}
    per_day = len(readings) // 36
    for start in range(0, len(readings), per_day):
        fold = AnomalyFold(room_of=rooms.room_of)
        for one in documents.values():
            fold.restore(orjson.loads(orjson.dumps(one)))
        events += folded(readings[max(start - 50, 0) : start + per_day], fold)
        documents |= {one: document for one in fold.changed if (document := fold.document(one)) is not None}
    assert events == expected


def test_document_is_bounded() -> None:
    """A year of faults in every field, of which each is marked as wrong."""
    fold = AnomalyFold(room_of=lambda _: "hall")
    for day in range(365):
        for hour in range(0, 24, 4):
            at_ms = START_MS + day * DAY_MS + hour * HOUR_MS
            values: dict[str, Value] = {name: TRAITS[name].usual[(day // 3) % 2] + (day % 3 == 0) for name in TRAITS}
            for event in fold.step(Reading(_ID, "kitchen", values, at_ms, at_ms, seq=at_ms)):
                if event.kind is AnomalyEventKind.DETECTED:
                    fold.mark_wrong("kitchen", event.anomaly.id, at_ms)
    document = fold.document("kitchen")
    assert document is not None
    assert len(document["recent"]) == RECENT_LIMIT
    assert max(document["factors"].values()) == HIGHEST_FACTOR
    assert len(strict(document)) < 64 * 1024


@pytest.mark.parametrize(
    "document",
    [{}, {"version": 2}, {"version": 1}, {"version": 1, "device": "a", "fields": []}, {"version": "1"}],
)
def test_document_of_another_version_or_shape_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="anomaly state"):
        DeviceAnomalies.from_document(document)


def test_anomaly_document_restores_exactly() -> None:
    for event in folded(series(changed(air(240), 100, 130, {"temperature": 21.37}), FEW_MINUTES_MS)):
        assert anomaly_from_document(orjson.loads(orjson.dumps(event.anomaly.to_document()))) == event.anomaly
        orjson.dumps(AnomalyRecord(event.anomaly).public())


# --- order and clocks ------------------------------------------------------------------------------------------------------


def test_late_and_retained_readings_change_nothing() -> None:
    device = DeviceAnomalies("kitchen")
    for one in series(air(5)):
        device.step(one)
    before = device.to_document()
    late = reading("kitchen", device.last_ms - HOUR_MS, {"temperature": 80.0}, 9999)
    device.step(late)
    retained = reading("kitchen", device.last_ms + HOUR_MS, {"temperature": 80.0}, 10_000)
    retained.retained = True
    device.step(retained)
    assert device.to_document() == before
    assert device.late == 2


def test_device_is_judged_again_after_the_clock_of_the_bridge_was_set_back() -> None:
    device = DeviceAnomalies("kitchen")
    for one in series(air(240), FEW_MINUTES_MS, start_ms=START_MS + 365 * DAY_MS):
        device.step(one)
    found = []
    for one in series(changed(air(240), 100, 130, {"temperature": 21.37}), FEW_MINUTES_MS):
        one.seq += 10_000
        found += device.step(one)
    assert [event.anomaly.kind.value for event in found] == ["stuck", "stuck"]
    document = device.to_document()
    for one in series(air(240), FEW_MINUTES_MS, start_ms=START_MS + 365 * DAY_MS):
        assert device.step(one) == []
    assert device.to_document() == document


def test_devices_beyond_the_limit_are_counted() -> None:
    fold = AnomalyFold(devices_limit=1)
    for number in range(3):
        fold.step(reading(f"d{number}", START_MS, {"temperature": 20.0}))
    assert fold.unwatched == 2
    assert fold.remove("d0", START_MS) == []
    fold.step(reading("d1", START_MS, {"temperature": 20.0}))
    assert (fold.unwatched, fold.document("d0")) == (2, None)


# --- marks -----------------------------------------------------------------------------------------------------------------


def test_marked_anomaly_ends_and_its_threshold_is_doubled_for_this_device_alone() -> None:
    """The first freeze is marked; of the second, of 40 hours, the device that has no mark tells."""
    values = changed(changed(air(480), 100, 127, {"temperature": 21.37}), 200, 240, {"temperature": 20.11})
    fold, events = AnomalyFold(), []
    for device in ("a", "b"):
        for one in series(values, FEW_MINUTES_MS, device_id=device):
            for event in fold.step(one):
                events.append(event)
                if event.kind is AnomalyEventKind.DETECTED and device == "a":
                    marked = fold.mark_wrong(device, event.anomaly.id, event.at_ms)
                    assert [one.anomaly.outcome for one in marked] == [AnomalyOutcome.WRONG]
                    assert fold.mark_wrong(device, event.anomaly.id, event.at_ms) == []
                    assert fold.standing("a") == []
    told = [event.anomaly.device_id for event in events if event.kind is AnomalyEventKind.DETECTED]
    assert told == ["a", "b", "b"]


def test_ended_anomaly_can_be_marked() -> None:
    fold = AnomalyFold()
    found, _ = folded(series(changed(air(240), 100, 130, {"humidity": 100}), FEW_MINUTES_MS), fold)
    (event,) = fold.mark_wrong("kitchen", found.anomaly.id, START_MS + 20 * DAY_MS)
    assert event.anomaly.outcome is AnomalyOutcome.WRONG
    document = fold.document("kitchen")
    assert document is not None
    assert document["factors"] == {"saturated/humidity": 2.0}


def test_mark_of_an_unknown_anomaly_or_device_changes_nothing() -> None:
    fold = AnomalyFold()
    folded(series(air(5)), fold)
    before = fold.document("kitchen")
    assert fold.mark_wrong("kitchen", "none", START_MS) == []
    assert fold.mark_wrong("nobody", "none", START_MS) == []
    assert fold.document("kitchen") == before


def test_saturation_can_be_marked_and_found_again_only_after_longer() -> None:
    rooms = SimulatedRooms(1, 3, MINUTE_MS, 5, {"room0-0": saturated("co2", 5000, DAY_MS, DAY_MS + 15 * MINUTE_MS)})
    fold = AnomalyFold()
    for one in rooms.readings():
        for event in fold.step(one):
            if event.kind is AnomalyEventKind.DETECTED:
                again = fold.mark_wrong("room0-0", event.anomaly.id, event.at_ms)
                assert len(again) == 1
    document = fold.document("room0-0")
    assert document is not None
    assert document["factors"] == {"saturated/co2": 2.0}
    assert document["standing"] == []
