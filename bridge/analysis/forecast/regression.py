"""Linear regression that learns hour by hour: one gain for all horizons, which share their features.

Recursive least squares with forgetting (Ljung and Söderström, 1983). The error of a forecast for several hours ahead is known
only then, so the gain of the hour in which it was made waits with it. Errors are limited, as in Huber's regression: one
extreme hour does not move the coefficients far.
"""

from collections.abc import Sequence

FEATURES = 4
COVARIANCE = 10
"""Numbers in the upper triangle."""

_MEMORY = 0.9995
"""Weight of the hour before: a forgetting time of 2,000 hours, or 83 days."""

_SPREAD_LIMIT = 100.0
"""Nothing is forgotten while the trace of the covariance is above: features that rest at zero teach nothing."""


_FIRST_SPREAD = 0.02
"""Small, so that the first days do not move the coefficients far: the errors of long horizons come late."""


def first_covariance() -> list[float]:
    """Return a diagonal matrix, as the upper triangle by rows."""
    return [_FIRST_SPREAD if row == column else 0.0 for row in range(FEATURES) for column in range(row, FEATURES)]


def learn_features(covariance: list[float], x: Sequence[float]) -> list[float]:
    """Update the covariance in place and return the gain: how far a unit of error moves each coefficient."""
    aa, ab, ac, ad, bb, bc, bd, cc, cd, dd = covariance
    a, b, c, d = x
    pa = aa * a + ab * b + ac * c + ad * d
    pb = ab * a + bb * b + bc * c + bd * d
    pc = ac * a + bc * b + cc * c + cd * d
    pd = ad * a + bd * b + cd * c + dd * d
    memory = _MEMORY if aa + bb + cc + dd < _SPREAD_LIMIT else 1.0
    scale = memory + a * pa + b * pb + c * pc + d * pd
    ga, gb, gc, gd = pa / scale, pb / scale, pc / scale, pd / scale
    covariance[:] = (
        (aa - ga * pa) / memory,
        (ab - ga * pb) / memory,
        (ac - ga * pc) / memory,
        (ad - ga * pd) / memory,
        (bb - gb * pb) / memory,
        (bc - gb * pc) / memory,
        (bd - gb * pd) / memory,
        (cc - gc * pc) / memory,
        (cd - gc * pd) / memory,
        (dd - gd * pd) / memory,
    )
    return [ga, gb, gc, gd]


def learn_target(
    coefficients: Sequence[float], x: Sequence[float], gain: Sequence[float], target: float, limit: float
) -> list[float]:
    """Return the coefficients of one horizon, moved by the error that they make now, of which at most `limit` counts."""
    a, b, c, d = x
    of_a, of_b, of_c, of_d = coefficients
    error = target - (of_a * a + of_b * b + of_c * c + of_d * d)
    if error > limit:
        error = limit
    elif error < -limit:
        error = -limit
    a, b, c, d = gain
    return [of_a + a * error, of_b + b * error, of_c + c * error, of_d + d * error]
