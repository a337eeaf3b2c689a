"""The dose clock against the windows of its standards.

The standards name windows at a few concentrations. Here they bound every signal, by what is certain in between: a lower
concentration must not raise an alarm earlier than a higher one may, nor a higher one later than a lower one must. So an alarm
is *early* if it comes sooner, after the first reading that counts and without gaps, than the standard allows at the highest
concentration so far. It is *late* if readings have been at least at a named concentration, without a gap, for longer than the
standard allows there. As the air may have changed right after the reading before, that interval is part of the time; where it
is longer than the window, the alarm must come with the first reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

import pytest

from bridge.alarms.co_dose import EN_50291, PROFILES, UL_2034, DoseClock, DoseProfile

MINUTE = 60.0
HALF_PPM = [number / 2 for number in range(2001)]
INTERVALS = (1, 10, 60, 300)
LONGEST = 3 * 3600
SHORT = 400
"""Samples of what never counts."""


class Windows(NamedTuple):
    """Concentration and minutes: no alarm before them up to the first, one within them from the second."""

    never_below: float
    not_before: tuple[tuple[float, float], ...]
    within: tuple[tuple[float, float], ...]

    def earliest(self, ppm: float) -> float:
        return next((minutes * MINUTE for limit, minutes in self.not_before if ppm <= limit), 0.0)


EN = Windows(30, ((30, 120), (50, 60), (100, 10)), ((50, 90), (100, 40), (300, 3)))
UL = Windows(30.001, ((70, 60), (150, 10), (400, 4)), ((70, 240), (150, 50), (400, 15)))
Sample = tuple[float, float, bool]
"""Seconds, ppm, and whether a gap is before it."""


def constant(ppm: float, interval: int) -> Iterator[Sample]:
    """Clean air, then the concentration from the reading at 0 on."""
    return chain([(-interval, 0.0, True)], ((second, ppm, False) for second in range(0, LONGEST, interval)))


def at_once(ppm: float, interval: int) -> Iterator[Sample]:
    """The very first reading has the concentration."""
    return ((second, ppm, second == 0) for second in range(0, LONGEST, interval))


def ramp(ppm: float, interval: int) -> Iterator[Sample]:
    """It rises for half an hour, then stays."""
    return ((second, ppm * min(1.0, second / 1800), second == 0) for second in range(0, LONGEST, interval))


def square(ppm: float, interval: int) -> Iterator[Sample]:
    """Ten minutes on, ten minutes off."""
    return ((second, ppm if second // 600 % 2 == 0 else 0.0, second == 0) for second in range(0, LONGEST, interval))


def broken(ppm: float, interval: int) -> Iterator[Sample]:
    """A gap of 20 minutes in each half hour."""
    samples = ((second, second % 1800) for second in range(0, LONGEST, interval))
    return ((second, ppm, inside < interval) for second, inside in samples if inside < 600)


def fault(
    windows: Windows, clock: DoseClock, samples: Iterable[Sample], interval: int, *, is_known: bool, peak: float
) -> str | None:
    """What is wrong with the time of the alarm; None if it is inside its window."""
    before, exposed, highest, deadlines = 0.0, -1.0, 0.0, dict[float, float]()
    levels = [(level, minutes * MINUTE) for level, minutes in windows.within if level <= peak]
    for number, (second, ppm, is_after_gap) in enumerate(samples):
        elapsed = None if is_after_gap else second - before
        clock.add(ppm, None if elapsed is None else round(elapsed * 1000))
        if exposed >= 0:
            exposed += elapsed or 0
        elif ppm >= windows.never_below:
            exposed = 0
        highest = max(highest, ppm)
        for level, limit in levels:
            if ppm < level or is_after_gap:
                deadlines.pop(level, None)
            if ppm >= level:
                deadlines.setdefault(level, second + max(0.0, limit - (elapsed or 0)))
        if clock.is_due(interval * 1000 if is_known or number else 0):
            is_early = highest < windows.never_below or exposed < windows.earliest(highest)
            return f"early: after {exposed:g} s of at most {highest:g} ppm" if is_early else None
        if deadlines and second >= min(deadlines.values()):
            return f"late: at {second:g} s, {ppm:g} ppm"
        before = second
    return None


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("signal", [constant, at_once, ramp, square, broken])
@pytest.mark.parametrize(("profile", "windows"), [(EN_50291, EN), (UL_2034, UL)], ids=lambda one: getattr(one, "name", ""))
def test_alarm_is_inside_its_window_at_every_concentration(
    profile: DoseProfile, windows: Windows, signal: Callable[[float, int], Iterable[Sample]], interval: int
) -> None:
    step = {1: 20, 10: 4}.get(interval, 1)  # every 10 or 2 ppm there: readings of every second take sixty times as long
    is_known = signal is not at_once
    faults = {}
    for ppm in HALF_PPM[::step]:
        samples = islice(signal(ppm, interval), None if ppm >= profile.least_ppm else SHORT)
        faults[ppm] = fault(windows, DoseClock(profile), samples, interval, is_known=is_known, peak=ppm)
    assert {ppm: text for ppm, text in faults.items() if text} == {}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda one: one.name)
def test_time_to_the_alarm_is_that_of_the_points_and_falls_with_the_concentration(profile: DoseProfile) -> None:
    assert [profile.minutes(ppm) for ppm, _ in profile.points] == pytest.approx([minutes for _, minutes in profile.points])
    times = [profile.minutes(ppm) for ppm in HALF_PPM]
    assert times == sorted(times, reverse=True)
    assert profile.minutes(profile.least_ppm - 0.01) == float("inf")


def test_dose_halves_every_20_minutes_below_the_least_concentration() -> None:
    clock = DoseClock(EN_50291, dose=0.8)
    clock.add(29.9, 20 * 60_000)
    assert clock.dose == pytest.approx(0.4)
    for _ in range(60):
        clock.add(0.0, 10 * 60_000)
    assert clock.is_idle


def test_gap_leaves_the_dose_as_it_was() -> None:
    clock = DoseClock(EN_50291)
    clock.add(60.0, None)
    clock.add(60.0, 10 * 60_000)
    dose = clock.dose
    clock.add(60.0, None)
    assert clock.dose == dose > 0.1


@pytest.mark.parametrize(("profile", "ppm"), [(EN_50291, 29.9), (UL_2034, 30.0), (UL_2034, 39.9)])
def test_concentration_that_does_not_count_raises_no_alarm_in_30_days(profile: DoseProfile, ppm: float) -> None:
    clock = DoseClock(profile)
    for _ in range(30 * 24 * 60):
        clock.add(ppm, 60_000)
        assert not clock.is_due(300_000)


def test_dose_never_exceeds_one_so_that_it_ends_within_hours() -> None:
    clock = DoseClock(EN_50291)
    for _ in range(1000):
        clock.add(900.0, 60_000)
    assert clock.dose == 1
