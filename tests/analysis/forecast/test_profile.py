"""What the model forgets: after gaps, and when it fails."""

from __future__ import annotations

from datetime import UTC

import orjson
import pytest

from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.profile import Profile
from bridge.analysis.forecast.series import FORGET_HOURS, RELEARN_HOURS
from tests.analysis.forecast.synthetic import START, daily, fed, first

DAY = 24


def test_after_a_gap_of_a_month_nothing_of_before_is_left() -> None:
    values = first(daily(14), 20 * DAY, 1)
    device, fresh = DeviceForecasts(UTC), DeviceForecasts(UTC)
    fed(device, "co2", values)
    later = START + len(values) + FORGET_HOURS
    assert fed(device, "co2", values[: 3 * DAY], later) == fed(fresh, "co2", values[: 3 * DAY], later)
    assert device.to_json() == fresh.to_json()


def test_after_a_shorter_gap_the_slots_are_kept() -> None:
    device = DeviceForecasts(UTC)
    fed(device, "co2", first(daily(14), 20 * DAY, 1))
    before = device._fields["co2"].profile.means[14]
    fed(device, "co2", [500.0], START + 20 * DAY + FORGET_HOURS - 2 - 14)
    assert device._fields["co2"].profile.means[14] == pytest.approx(before)


def test_a_level_that_was_not_seen_for_hours_counts_less() -> None:
    profiles = Profile(), Profile()
    for profile in profiles:
        for hour in range(48):
            profile.learn(hour, hour % 24, 10.0)
        profile.learn(48, 0, 30.0)
    levels = [profile.learn(48 + gap, gap, 10.0)[2] for profile, gap in zip(profiles, (1, 15), strict=True)]
    assert levels[1] == pytest.approx(levels[0] * 0.95**14)


def test_a_deviation_before_a_gap_is_not_that_of_the_hour_before() -> None:
    profile = Profile()
    for hour in range(24):
        profile.learn(hour, hour, 10.0)
    deviation, before, *_ = profile.learn(26, 2, 14.0)
    assert before == deviation == pytest.approx(4.0)


def test_a_model_that_fails_for_a_week_learns_its_slots_anew() -> None:
    device = DeviceForecasts(UTC)
    values = first(daily(14), 40 * DAY, 1)
    fed(device, "co2", values)
    document = orjson.loads(device.to_json())
    now = START + len(values)
    weights = []
    for hidden_since in (now - RELEARN_HOURS, now - RELEARN_HOURS - 1):
        document["fields"]["co2"]["record"]["hidden_since"] = hidden_since
        restored = DeviceForecasts.from_json(orjson.dumps(document).decode(), UTC)
        series = restored._fields["co2"]
        before = series.profile.means[0]
        restored.feed(now, {"co2": 900.0})
        weights.append((series.profile.means[0] - before) / (30.0 - before))
    assert weights == pytest.approx([0.06, 1 / 3], abs=0.02)
