"""The simulator: determinism by seed, and plausible air over a day."""

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
    """A day of several seeds, a reading per minute; None while the sensor has dropped out."""
    return [day_of(seed) for seed in SEEDS]


def measured(day: list[dict[str, Value] | None], field: str) -> list[float]:
    return [float(reading[field]) for reading in day if reading is not None]


def hour_mean(day: list[dict[str, Value] | None], field: str, hour: int) -> float:
    return fmean(measured(day[hour * 60 : (hour + 1) * 60], field))


def test_same_seed_gives_the_same_readings() -> None:
    assert day_of(1) == day_of(1)


def test_other_seed_or_room_gives_other_readings() -> None:
    assert day_of(1) != day_of(2)
    assert day_of(1, "kitchen") != day_of(1, "attic")


def test_temperature_peaks_in_the_afternoon_and_is_lowest_before_dawn(days: list[list[dict[str, Value] | None]]) -> None:
    for day in days:
        by_hour = [hour_mean(day, "temperature", hour) for hour in range(24)]
        assert 13 <= by_hour.index(max(by_hour)) <= 17
        assert by_hour.index(min(by_hour)) <= 6
        assert 3 < max(by_hour) - min(by_hour) < 8


def test_co2_follows_occupancy_and_stays_above_outdoor_air(days: list[list[dict[str, Value] | None]]) -> None:
    all_ppm = [ppm for day in days for ppm in measured(day, "eco2")]
    assert min(all_ppm) >= 400
    assert max(all_ppm) > 800
    awake = fmean(hour_mean(day, "eco2", hour) for day in days for hour in range(10, 22))
    asleep = fmean(hour_mean(day, "eco2", hour) for day in days for hour in range(2, 7))
    assert awake > asleep + 100


def steps(day: list[dict[str, Value] | None], field: str) -> list[tuple[float, float]]:
    """Return the values of consecutive minutes that both have a reading."""
    pairs = pairwise(day)
    return [(float(a[field]), float(b[field])) for a, b in pairs if a is not None and b is not None]


def test_co2_does_not_jump(days: list[list[dict[str, Value] | None]]) -> None:
    for day in days:
        assert all(abs(after - before) < 100 for before, after in steps(day, "eco2"))


def test_gas_events_are_occasional_and_decay_within_minutes(days: list[list[dict[str, Value] | None]]) -> None:
    gas = [step for day in days for step in steps(day, "lpgPpm")]
    events = [(before, after) for before, after in gas if after > before + 150]
    assert len(SEEDS) <= len(events) <= 10 * len(SEEDS)
    decays = [after / before for before, after in gas if before > 100 and after <= before + 150]
    assert decays
    assert all(0.7 < ratio < 0.86 for ratio in decays)  # 78 % remain after one minute at a time constant of four


def test_gas_raises_tvoc_co_and_aqi(days: list[list[dict[str, Value] | None]]) -> None:
    readings = [reading for day in days for reading in day if reading is not None]
    polluted = [reading for reading in readings if float(reading["lpgPpm"]) > 300]
    clean = [reading for reading in readings if float(reading["lpgPpm"]) < 5]
    for field in ("tvoc", "coPpm", "aqi"):
        assert fmean(float(reading[field]) for reading in polluted) > fmean(float(reading[field]) for reading in clean)


def test_sensor_drops_out_occasionally_and_returns(days: list[list[dict[str, Value] | None]]) -> None:
    dropouts = [sum(reading is None for reading in day) for day in days]
    assert all(count < len(DAY) / 10 for count in dropouts)
    assert sum(dropouts) > 0
    assert all(
        any(reading is not None for reading in day[start : start + 45]) for day in days for start in range(0, len(DAY), 45)
    )


def test_battery_only_decreases(days: list[list[dict[str, Value] | None]]) -> None:
    for day in days:
        battery = measured(day, "battery")
        assert battery == sorted(battery, reverse=True)


class NullOrigin:
    """Ignores acknowledgements."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Do nothing."""


def test_every_simulated_reading_is_decoded_without_quality_notes(days: list[list[dict[str, Value] | None]]) -> None:
    decoder = Decoder([Route(TopicPattern.parse("sensors/{deviceId}/data"))])
    for day in days:
        for at, body in zip(DAY, day, strict=True):
            if body is not None:
                message = Message("mqtt", "sensors/kitchen/data", orjson.dumps(body), at * 1000, NullOrigin())
                reading = decoder.decode(message)
                assert isinstance(reading, Reading)
                assert reading.quality == {}
                assert reading.timestamp_ms == at * 1000
                assert set(reading.values) == set(body) - {"timestamp"}
    assert len(decoder.unknown_keys) == 0


def test_devices_are_named_after_rooms_and_numbered_from_the_second_round() -> None:
    names = device_ids(2 * len(ROOMS) + 1)
    assert names[: len(ROOMS)] == list(ROOMS)
    assert names[len(ROOMS)] == f"{ROOMS[0]}-2"
    assert names[-1] == f"{ROOMS[0]}-3"
    assert len(set(names)) == len(names)
