"""Believable sensors: the same seed the same air, and air as it is over a day."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

import orjson
import pytest

from bridge.core.decode import Decoder, Route
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.tools.simulator import ROOMS, SimulatedSensor, device_ids

MIDNIGHT = 1_766_966_400  # 2025-12-29T00:00:00Z
STEP_SECONDS = 60
DAY = range(MIDNIGHT, MIDNIGHT + 86_400, STEP_SECONDS)
SEEDS = range(8)


def day_of(seed: int, device: str = "kitchen") -> list[dict[str, Value] | None]:
    sensor = SimulatedSensor(device, seed)
    return [sensor.reading(at) for at in DAY]


@pytest.fixture(scope="module")
def days() -> list[list[dict[str, Value] | None]]:
    """A day of several rooms, a reading a minute; None where the sensor was silent."""
    return [day_of(seed) for seed in SEEDS]


def measured(day: list[dict[str, Value] | None], field: str) -> list[float]:
    return [float(one[field]) for one in day if one is not None]


def hour_mean(day: list[dict[str, Value] | None], field: str, hour: int) -> float:
    return fmean(measured(day[hour * 60 : (hour + 1) * 60], field))


def test_the_same_seed_gives_the_same_readings() -> None:
    assert day_of(1) == day_of(1)


def test_another_seed_or_another_room_gives_other_air() -> None:
    assert day_of(1) != day_of(2)
    assert day_of(1, "kitchen") != day_of(1, "attic")


def test_it_is_warmest_in_the_afternoon_and_coolest_in_the_small_hours(days: list[list[dict[str, Value] | None]]) -> None:
    for day in days:
        by_hour = [hour_mean(day, "temperature", hour) for hour in range(24)]
        assert 13 <= by_hour.index(max(by_hour)) <= 17
        assert by_hour.index(min(by_hour)) <= 6
        assert 3 < max(by_hour) - min(by_hour) < 8


def test_co2_follows_the_people_and_never_falls_below_outdoor_air(days: list[list[dict[str, Value] | None]]) -> None:
    everywhere = [ppm for day in days for ppm in measured(day, "eco2")]
    assert min(everywhere) >= 400
    assert max(everywhere) > 800
    awake = fmean(hour_mean(day, "eco2", hour) for day in days for hour in range(10, 22))
    asleep = fmean(hour_mean(day, "eco2", hour) for day in days for hour in range(2, 7))
    assert awake > asleep + 100


def steps(day: list[dict[str, Value] | None], field: str) -> list[tuple[float, float]]:
    """The readings of two minutes in a row, where both are there."""
    return [(float(one[field]), float(other[field])) for one, other in pairwise(day) if one is not None and other is not None]


def test_co2_drifts_and_does_not_jump(days: list[list[dict[str, Value] | None]]) -> None:
    for day in days:
        assert all(abs(after - before) < 100 for before, after in steps(day, "eco2"))


def test_gas_comes_now_and_then_and_decays_within_minutes(days: list[list[dict[str, Value] | None]]) -> None:
    gas = [step for day in days for step in steps(day, "lpgPpm")]
    events = [(before, after) for before, after in gas if after > before + 150]
    assert len(SEEDS) <= len(events) <= 10 * len(SEEDS)
    decays = [after / before for before, after in gas if before > 100 and after <= before + 150]
    assert decays
    assert all(0.7 < left < 0.86 for left in decays)  # a minute of a time constant of four leaves 78 %


def test_gas_raises_tvoc_co_and_the_index(days: list[list[dict[str, Value] | None]]) -> None:
    readings = [one for day in days for one in day if one is not None]
    gassy = [one for one in readings if float(one["lpgPpm"]) > 300]
    clean = [one for one in readings if float(one["lpgPpm"]) < 5]
    for field in ("tvoc", "coPpm", "aqi"):
        assert fmean(float(one[field]) for one in gassy) > fmean(float(one[field]) for one in clean)


def test_a_sensor_drops_out_now_and_then_and_comes_back(days: list[list[dict[str, Value] | None]]) -> None:
    silences = [sum(one is None for one in day) for day in days]
    assert all(silent < len(DAY) / 10 for silent in silences)
    assert sum(silences) > 0
    assert all(any(one is not None for one in day[start : start + 45]) for day in days for start in range(0, len(DAY), 45))


def test_the_battery_runs_down_and_never_up(days: list[list[dict[str, Value] | None]]) -> None:
    for day in days:
        battery = measured(day, "battery")
        assert battery == sorted(battery, reverse=True)


class Nowhere:
    """An origin that nobody waits at."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Nothing to do."""


def test_every_simulated_reading_is_accepted_without_a_complaint(days: list[list[dict[str, Value] | None]]) -> None:
    decoder = Decoder([Route(TopicPattern.parse("sensors/{deviceId}/data"))])
    for day in days:
        for at, body in zip(DAY, day, strict=True):
            if body is not None:
                message = Message("mqtt", "sensors/kitchen/data", orjson.dumps(body), at * 1000, Nowhere())
                reading = decoder.decode(message)
                assert isinstance(reading, Reading)
                assert reading.quality == {}
                assert reading.timestamp_ms == at * 1000
                assert set(reading.values) == set(body) - {"timestamp"}
    assert len(decoder.unknown_keys) == 0


def test_devices_are_named_by_rooms_and_numbered_from_the_second_round() -> None:
    names = device_ids(2 * len(ROOMS) + 1)
    assert names[: len(ROOMS)] == list(ROOMS)
    assert names[len(ROOMS)] == f"{ROOMS[0]}-2"
    assert names[-1] == f"{ROOMS[0]}-3"
    assert len(set(names)) == len(names)
