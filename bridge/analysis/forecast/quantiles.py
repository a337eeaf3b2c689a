"""Adaptive conformal prediction: quantiles that follow how far forecasts are off.

A tracked quantile rises by a step times its level when a value is above it, and falls by a step times the rest when one is
not, so that in the long run the share of values below it is its level, whatever their distribution, and also when that
changes (Gibbs and Candès 2021; Angelopoulos, Candès and Tibshirani 2023). Values are errors in units of their usual size.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, log

INTERVAL = 0.9
"""The probability that a value is between the bounds of a forecast."""

BOUNDS = ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2)

OUTER_INTERVAL = 0.995
"""The probability that a value is between the outer bounds: a value outside is unusual."""

OUTER_BOUNDS = ((1 - OUTER_INTERVAL) / 2, (1 + OUTER_INTERVAL) / 2)
OUTER_STEP = 0.5
"""Ten times that of the other quantiles: one hour in 400 is beyond each of these, and they have to follow within a season."""

FIRST_OUTER_BOUND = 4.5
"""3.5 in a normal distribution; errors of air have heavier tails."""

LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The quantiles by which the probability of a limit is estimated."""

FIRST_BOUNDS = (-2.1, 2.1)
"""Of errors with mean size 1 in a normal distribution, 90 % are between."""

FIRST_LEVELS = (-2.9, -2.1, -1.6, -1.05, -0.65, -0.3, 0.0, 0.3, 0.65, 1.05, 1.6, 2.1, 2.9)
STEP = 0.05
FIRST_STEPS = 20
_FAR = 20.0


def step_of(seen: int) -> float:
    """Return the step after `seen` scores; the first are larger."""
    return STEP if seen > FIRST_STEPS else STEP * (4.0 - 3.0 * seen / FIRST_STEPS)


def follow(quantiles: list[float], levels: Sequence[float], score: float, step: float) -> None:
    """Move the quantiles by one score."""
    quantiles[:] = [
        quantile + step * (level if score > quantile else level - 1) for quantile, level in zip(quantiles, levels, strict=True)
    ]


def share_above(quantiles: Sequence[float], score: float) -> float:
    """Return the probability of a score above this one, from the quantiles at `LEVELS`.

    Straight lines between the quantiles, exponential tails beyond them.
    """
    ordered = sorted(quantiles)
    place = bisect_right(ordered, score)
    if place == 0:
        return 1 - LEVELS[0] * _tail(ordered[0] - score, ordered[1] - ordered[0], LEVELS[1] / LEVELS[0])
    if place == len(ordered):
        return (1 - LEVELS[-1]) * _tail(score - ordered[-1], ordered[-1] - ordered[-2], (1 - LEVELS[-2]) / (1 - LEVELS[-1]))
    low, high = ordered[place - 1], ordered[place]
    return 1 - (LEVELS[place - 1] + (LEVELS[place] - LEVELS[place - 1]) * (score - low) / (high - low))


def _tail(distance: float, step: float, ratio: float) -> float:
    """Return the share of a tail beyond `distance`, which falls by `ratio` over `step`."""
    return exp(-min(distance * log(ratio) / max(step, 1e-3), _FAR))
