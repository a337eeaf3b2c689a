"""What is kept of a device between rounds, in memory and in the store."""

from __future__ import annotations

import math
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from bridge.analysis.forecast.calendar import LAST_HOUR
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast_service.learner import STATE_HOURS, LearnedHours, Learner, LearnerCache
from bridge.analysis.forecast_service.predictions import DevicePredictions
from tests.analysis.forecast_service.stage import START, stage


def learned(*hours: tuple[int, dict[str, float]], after: int = 9) -> LearnedHours:
    found = LearnedHours(after)
    for hour, means in hours:
        found.add(hour, means)
    return found


def test_learned_hours_are_read_back_to_the_last_bit_whatever_fields_they_have() -> None:
    hours = [(10, {"co2": 1 / 3}), (12, {}), (13, {"temperature": -0.1, "co2": 5e-324}), (14, {"pm25": 2.0})]
    found = LearnedHours.from_json(learned(*hours).to_json())
    assert found is not None
    assert (found.after, list(found), len(found)) == (9, hours, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"after": "x"},
        {"after": 11},
        {"fields": ["coPpm"]},
        {"fields": None},
        {"fields": ["co2", "pm25"]},
        {"hours": "not base64"},
        {"hours": "AAAA"},
        {"hours": learned((LAST_HOUR + 1, {"co2": 1.0})).to_json()["hours"]},
        {"hours": learned((math.nan, {"co2": 1.0})).to_json()["hours"]},  # type: ignore[arg-type]
        {"hours": learned(*((10 + n, {"co2": 1.0}) for n in range(STATE_HOURS + 1))).to_json()["hours"]},
    ],
)
def test_damaged_hours_are_read_from_the_history_again(change: dict[str, Any]) -> None:
    assert LearnedHours.from_json(learned((10, {"co2": 1.0})).to_json() | change) is None
    assert LearnedHours.from_json(None) is None


def test_devices_beyond_the_memory_are_not_kept() -> None:
    kept = LearnerCache(fields_limit=2)
    for name in ("a", "b", "c"):
        device = DeviceForecasts(UTC)
        device.feed(START, {"co2": 600.0})
        kept.put(Learner(name, device, DevicePredictions()))
    assert [name in kept for name in "abc"] == [True, True, False]
    taken = kept.take("a")
    assert taken is not None
    assert kept.has_place(taken)
    assert kept.take("a") is None
    kept.drop_silent(START + STATE_HOURS + 1)
    assert "b" not in kept


async def test_state_is_stored_once_a_day_and_each_hour_without_memory(tmp_path: Path) -> None:
    for limit, stored in ((100, 1), (0, STATE_HOURS)):
        async with stage(f"sqlite:///{tmp_path}/{limit}.db") as room:
            room.service._cache = LearnerCache(limit)
            await room.measure_hours("office", range(START, START + 2 * STATE_HOURS))
            await room.pass_to(START + STATE_HOURS)
            hours = set()
            for hour in range(START + STATE_HOURS + 1, START + 2 * STATE_HOURS + 1):
                await room.pass_to(hour)
                hours.add((await room.store.forecast_states.get(["office"]))[0].seq)
                assert (await room.state("office"))[0] == hour - 1
            assert len(hours - {START + STATE_HOURS - 1}) == stored
