"""A sensor whose level moves away from its neighbours is found, named, and found to be right again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest

from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEvent, AnomalyEventKind, AnomalyKind
from bridge.analysis.anomaly.sentences import sentence
from bridge.core.readings.reading import Reading
from tests.analysis.anomaly.series import DAY_MS, HOUR_MS, START_MS, daily, detected, reading

DAYS = 60
Gain = Callable[[float], float]


def room(sensors: dict[str, Gain], days: int = DAYS) -> Iterator[Reading]:
    """Hourly readings of sensors in one room; each shows the air times its gain, which depends on the day."""
    chance = random.Random(3)
    weather, seq = 0.0, 0
    for hour in range(days * 24):
        weather = 0.98 * weather + chance.gauss(0, 0.08)
        air = 12 * 2.7**weather * (1 + 0.3 * daily(hour % 24))
        for number, (device_id, gain) in enumerate(sensors.items()):
            seq += 1
            value = max(air * gain(hour / 24) * (1 + chance.gauss(0, 0.1)), 0)
            yield reading(device_id, START_MS + hour * HOUR_MS + number * 1000, {"pm25": round(value, 1)}, seq)


def right(_: float) -> float:
    return 1.0


def halved(day: float) -> float:
    return 0.5 if day >= 30 else 1.0


def doubled(day: float) -> float:
    return 2.0 if day >= 30 else 1.0


def judged(sensors: dict[str, Gain], days: int = DAYS) -> list[AnomalyEvent]:
    fold = AnomalyFold(room_of=lambda _: "hall")
    return [event for one in room(sensors, days) for event in fold.step(one)]


def day_of(event: AnomalyEvent) -> float:
    return (event.at_ms - START_MS) / DAY_MS


@pytest.mark.parametrize("neighbours", [1, 2, 3, 6])
def test_halved_sensitivity_is_found_within_two_weeks_and_only_at_its_sensor(neighbours: int) -> None:
    others: dict[str, Gain] = {f"b{number}": right for number in range(neighbours)}
    (found,) = judged({"a": halved, **others})
    assert (found.anomaly.kind, found.anomaly.device_id, found.anomaly.fields) == (AnomalyKind.DRIFT, "a", ("pm25",))
    assert 30 < day_of(found) <= 44
    assert found.anomaly.neighbour in others
    assert found.anomaly.parameters["change"] == pytest.approx(-50, abs=15)
    assert f"what {found.anomaly.neighbour} in the same room suggests" in sentence(found.anomaly)


def street(seed: int, *, halved_from: int | None, days: int) -> Iterator[Reading]:
    """Hourly NO2 at a kerb and in a park: the park's daily level varies more, and explains half of the street's."""
    chance = random.Random(seed)
    park = traffic = 0.0
    for day in range(days):
        park = 0.6 * park + chance.gauss(0, 0.65 * 0.8)
        traffic = 0.5 * traffic + chance.gauss(0, 0.25 * 0.87)
        gain = 0.5 if halved_from is not None and day >= halved_from else 1.0
        for hour in range(24):
            at_ms = START_MS + (day * 24 + hour) * HOUR_MS
            course = 1 + 0.3 * daily(hour)
            kerb_value = gain * 50 * math.exp(0.45 * park + traffic) * course * (1 + chance.gauss(0, 0.1))
            yield reading("kerb", at_ms, {"no2": round(max(kerb_value, 0), 1)})
            yield reading("park", at_ms + 1000, {"no2": round(20 * math.exp(park) * course, 1)})


def drifts_in_the_street(seed: int, *, halved_from: int | None, days: int) -> list[AnomalyEvent]:
    fold = AnomalyFold(room_of=lambda _: "street")
    events = [event for one in street(seed, halved_from=halved_from, days=days) for event in fold.step(one)]
    return [one for one in events if one.kind is AnomalyEventKind.DETECTED]


def test_halved_sensitivity_is_found_within_two_weeks_beside_a_neighbour_that_shares_only_part_of_the_air() -> None:
    found = [drifts_in_the_street(seed, halved_from=120, days=135) for seed in range(12)]
    soon = [one for one in found if any(120 <= day_of(event) <= 134.2 for event in one)]
    assert len(soon) >= 9


def test_neighbours_that_share_only_part_of_the_air_do_not_drift_more_than_once_in_ten_device_months() -> None:
    found = [one for seed in range(8) for one in drifts_in_the_street(seed, halved_from=None, days=365)]
    assert len(found) <= 0.1 * 8 * 2 * 12


def test_neighbours_of_a_sensor_that_shows_too_much_are_not_accused() -> None:
    (found,) = judged({"a": right, "b": doubled, "c": right})
    assert found.anomaly.device_id == "b"
    assert found.anomaly.parameters["change"] > 50


def test_slow_loss_of_sensitivity_is_found() -> None:
    found = judged({"a": lambda day: 0.98 ** max(day - 25, 0), "b": right, "c": right}, days=90)
    assert detected(found) == [(AnomalyKind.DRIFT, ("pm25",))]
    assert found[0].anomaly.device_id == "a"


def test_drift_ends_when_the_sensor_is_right_again() -> None:
    found, ended = judged({"a": lambda day: 0.5 if 30 <= day < 50 else 1.0, "b": right, "c": right}, days=100)
    assert (found.kind, ended.kind) == (AnomalyEventKind.DETECTED, AnomalyEventKind.RESOLVED)
    assert ended.anomaly.id == found.anomaly.id
    assert day_of(ended) > 50


def test_sensors_with_different_gains_do_not_drift() -> None:
    assert judged({"a": lambda _: 0.6, "b": right, "c": lambda _: 1.7}, days=120) == []


def test_sensor_alone_in_its_room_does_not_drift() -> None:
    assert judged({"a": halved}) == []


def test_sensors_in_different_rooms_are_not_compared() -> None:
    fold = AnomalyFold(room_of=lambda device_id: device_id)
    assert [event for one in room({"a": halved, "b": right}) for event in fold.step(one)] == []


def test_drift_ends_when_the_device_moves_to_another_room() -> None:
    fold, events = AnomalyFold(room_of=lambda _: "hall"), []
    for one in room({"a": halved, "b": right, "c": right}, days=70):
        if one.timestamp_ms >= START_MS + 50 * DAY_MS:
            fold.set_room("a", "cellar")
        events += fold.step(one)
    assert [event.kind for event in events] == [AnomalyEventKind.DETECTED, AnomalyEventKind.RESOLVED]
    assert 50 <= day_of(events[1]) <= 52
    assert fold.standing() == []


def test_drift_that_is_marked_as_wrong_is_learned() -> None:
    fold, events = AnomalyFold(room_of=lambda _: "hall"), []
    for one in room({"a": halved, "b": right, "c": right}, days=100):
        for event in fold.step(one):
            events.append(event)
            if event.kind is AnomalyEventKind.DETECTED:
                events += fold.mark_wrong("a", event.anomaly.id, event.at_ms)
    assert [event.kind for event in events] == [AnomalyEventKind.DETECTED, AnomalyEventKind.RESOLVED]
