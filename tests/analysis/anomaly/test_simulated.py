"""Simulated rooms for a month: nothing is found where nothing is wrong, and faults are found and named.

`make bench ARGS='anomalies'` does the same with more devices, denser readings, and real data sets.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEventKind, AnomalyKind
from tests.analysis.anomaly.series import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Fault,
    SimulatedRooms,
    detected,
    drift,
    folded,
    saturated,
    step,
    stuck,
)

FAULTS: Mapping[AnomalyKind, tuple[str, ...]] = {
    AnomalyKind.STUCK: ("temperature", "co2"),
    AnomalyKind.SATURATED: ("humidity", "co2"),
    AnomalyKind.STEP: ("temperature", "co2"),
    AnomalyKind.DRIFT: ("pm25", "tvoc"),
}
SIZES = {"temperature": 8.0, "co2": 1500.0}
ENDS = {"humidity": 100.0, "co2": 5000.0}


def fault(kind: AnomalyKind, field: str, from_ms: int) -> Fault:
    if kind is AnomalyKind.STUCK:
        return stuck(field, from_ms, from_ms + 30 * HOUR_MS)
    if kind is AnomalyKind.SATURATED:
        return saturated(field, ENDS[field], from_ms, from_ms + 5 * HOUR_MS)
    if kind is AnomalyKind.STEP:
        return step(field, SIZES[field], from_ms)
    return drift(field, 0.15, from_ms)


def faulty(rooms: int, days: int, every_ms: int, seed: int) -> tuple[SimulatedRooms, dict[str, tuple[AnomalyKind, str]]]:
    """Rooms of three devices, of which one has a fault from about day 22 on."""
    expected, faults = {}, {}
    kinds = [(kind, field) for kind, fields in FAULTS.items() for field in fields]
    for number in range(rooms):
        device_id, (kind, field) = f"room{number}-{number % 3}", kinds[number % len(kinds)]
        expected[device_id] = (kind, field)
        faults[device_id] = fault(kind, field, 22 * DAY_MS + number * 7919 * MINUTE_MS % DAY_MS)
    return SimulatedRooms(3 * rooms, days, every_ms, seed, faults), expected


def first_found(rooms: SimulatedRooms) -> dict[str, tuple[AnomalyKind, str]]:
    """The first anomaly of each device that has one."""
    found: dict[str, tuple[AnomalyKind, str]] = {}
    for event in folded(rooms.readings(), AnomalyFold(room_of=rooms.room_of)):
        if event.kind is AnomalyEventKind.DETECTED:
            found.setdefault(event.anomaly.device_id, (event.anomaly.kind, event.anomaly.field))
    return found


def test_fifty_devices_without_a_fault_have_at_most_one_anomaly_in_five_months() -> None:
    rooms = SimulatedRooms(50, 30, 30 * MINUTE_MS, 11, {})
    assert len(detected(folded(rooms.readings(), AnomalyFold(room_of=rooms.room_of)))) <= 0.2 * 50


def test_faults_are_found_and_named_and_their_neighbours_are_not_accused() -> None:
    rooms, expected = faulty(16, 34, 20 * MINUTE_MS, 12)
    found = first_found(rooms)
    named = [device_id for device_id, fault in expected.items() if found.get(device_id) == fault]
    assert len(named) >= 0.95 * len(expected), {one: (fault, found.get(one)) for one, fault in expected.items()}
    assert set(found) <= set(expected)
