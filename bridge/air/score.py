"""The global score: one number for the air of a room, from 0 (bad) to 100 (good).

Each measurement in `SCALES` has a score, interpolated linearly between breakpoints; the reading's score is the worst of them.
The worst and not the mean, as in the indices of the US EPA and of the European Environment Agency: a room with 5,000 ppm CO2
is not half as bad because its temperature is pleasant. A flame makes it 0. Other measurements have no effect, and flagged
values have none unless they are above the usual range: a sensor that fails says nothing about the air.

The breakpoints are published limits. The scores at them, and their use on single readings, are this project's choice: the
limits for particles, TVOC and CO2 at work are for means over hours, days or a year. This is not an index of the US EPA.

- co2, ppm: outdoor air about 420; EN 16798-1:2019 categories I, II, III end 550, 800 and 1,350 ppm above it; the German guide
  values (2008) call less than 1,000 harmless and more than 2,000 unacceptable; 5,000 is the usual limit at work (8 h).
- pm25, µg/m³: WHO 2021 guidelines 5 (year) and 15 (day); the upper ends of four categories of the US EPA index in force since
  May 2024 (40 CFR 58 App. G; EPA-454/B-24-002, table 6): 35.4, 55.4, 125.4, 225.4.
- pm10, µg/m³: WHO 2021 guidelines 15 (year) and 45 (day); of the same index: 154, 254, 354, 424.
- tvoc, ppb: the German levels (2007) to 0.3, 1, 3, 10, 25 mg/m³, which sensor makers convert to 65, 220, 660, 2,200,
  5,500 ppb.
- temperature, °C: EN 16798-1:2019 categories II and III of offices, winter to summer: 20 to 26, 19 to 27; WHO (housing, 2018)
  recommends at least 18.
- humidity, %RH: EN 16798-1:2019 categories I, II and III: 30 to 50, 25 to 60, 20 to 70; the US EPA recommends 30 to 50 and
  less than 60.
- coPpm, ppm: WHO 2021 guideline for a day 4 mg/m³ (3.5 ppm); the US EPA's index for 8 hours ends "moderate" at 9.4; EN 50291-1:
  from 30 an alarm sounds after hours, at 100 within 40 minutes.
- ch4Ppm and lpgPpm, ppm: 10 and 20 % of the lower explosive limit (ISO/IEC 80079-20-1:2017, LPG as butane).
- no2, o3, so2, ppb: the US EPA's index: the ends of its first five categories, after WHO 2021 (25, 60 and 40 µg/m³).
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise

from bridge.air.trust import counts
from bridge.core.readings.measurements import Value

SCALES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "co2": ((420, 100), (970, 80), (1220, 60), (1770, 40), (2000, 25), (5000, 0)),
    "pm25": ((5, 100), (15, 80), (35.4, 60), (55.4, 40), (125.4, 20), (225.4, 0)),
    "pm10": ((15, 100), (45, 80), (154, 60), (254, 40), (354, 20), (424, 0)),
    "tvoc": ((65, 100), (220, 80), (660, 60), (2200, 30), (5500, 0)),
    "temperature": ((5, 0), (16, 40), (18, 60), (19, 80), (20, 100), (26, 100), (27, 80), (29, 60), (32, 40), (40, 0)),
    "coPpm": ((3.5, 100), (9.4, 80), (30, 40), (100, 0)),
    "ch4Ppm": ((1000, 100), (4400, 20), (8800, 0)),
    "lpgPpm": ((300, 100), (1400, 20), (2800, 0)),
    "no2": ((13, 100), (53, 80), (100, 60), (360, 40), (649, 20), (1249, 0)),
    "o3": ((30, 100), (54, 80), (70, 60), (85, 40), (105, 20), (200, 0)),
    "so2": ((15, 100), (35, 80), (75, 60), (185, 40), (304, 20), (604, 0)),
    "humidity": ((0, 0), (20, 60), (25, 80), (30, 100), (50, 100), (60, 80), (70, 60), (100, 0)),
}
"""Pairs of value and score in ascending order; the score is constant before the first and after the last."""


def _lines(scale: tuple[tuple[float, float], ...]) -> list[tuple[float, float, float, float]]:
    """Return a line per interval between breakpoints: its first value, the score there, the change in score, its width."""
    (first, first_score), (last, last_score) = scale[0], scale[-1]
    between = [(low, score, to - score, high - low) for (low, score), (high, to) in pairwise(scale)]
    return [(first, first_score, 0, 1), *between, (last, last_score, 0, 1)]


_LINES = {name: ([value for value, _ in scale], _lines(scale)) for name, scale in SCALES.items()}


_NO_FLAGS: Mapping[str, str] = {}


def global_score(values: Mapping[str, Value], quality: Mapping[str, str] = _NO_FLAGS) -> int | None:
    """Return the worst score of the values that count (`trust.py`), rounded; None if none of them has a scale."""
    worst = None
    for name, value in values.items():
        if name in _LINES and not isinstance(value, str) and (not quality or counts(name, value, quality)):
            breakpoints, lines = _LINES[name]
            begin, score, rise, run = lines[bisect_left(breakpoints, value)]
            score += rise * (value - begin) / run
            if worst is None or score < worst:
                worst = score
    if values.get("flameDetected") is True:
        return 0
    return None if worst is None else round(worst)
