"""`drift`: the level of a field moves away from that of its neighbours in the room, by a two-sided CUSUM.

Once a day, for each of at most four neighbours, the daily level is predicted from that of the neighbour. The level is the
logarithm of the daily mean, so that the residual is a log ratio, or the mean itself where an offset is the usual error. The
slope is learned: it begins at 1, and is nearly that of the data after a month, so that neighbours that share only part of
their air can be compared as well. The median of the residuals, in standard deviations of each pair and at most 4, is summed up
above `K`; at `H` it is an anomaly. With an even number of neighbours the median nearer to 0 counts: one neighbour that drifts
does not accuse the others. Of two sensors that are alone, that which moved further from its own mean is named.

A pair is judged after 21 days, and learns, with a memory of 90 days, only while neither sum is above `HOLD`: otherwise a slow
drift would be learned as normal.

`H`, `HOLD` and `PRIOR_DAYS` were chosen on the first half of the London data of `make bench ARGS='anomalies'`, whose two
stations share only part of their air; the bench reports both halves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from bridge.analysis.anomaly.field_state import FieldState
from bridge.analysis.anomaly.record import AnomalyKind, Evidence, Sample
from bridge.analysis.anomaly.standing import Standing
from bridge.analysis.anomaly.traits import Comparison, FieldTraits

H = 8.0
K = 1.0
HOLD = 5.0
ENDED = 3.0
"""A drift has ended when both sums have fallen to this."""

CAP = 4.0
LEARN_DAYS = 21
MEMORY_DAYS = 90
PRIOR_DAYS = 5
"""The slope of 1 with which a pair begins weighs as much as this many days with the variance `prior` of the traits."""

NEIGHBOURS = 4
PAIRS_LIMIT = 8
"""How many neighbours are remembered, with those that are silent at the moment."""

DAY_MS = 86_400_000

_OUTLIER = 3.0
_HIGHEST = 2.0
"""The sums stop at this multiple of the limit, so that a drift that ended is found to have ended within weeks."""


@dataclass(slots=True)
class Pair:
    """Own levels and those of one neighbour: number of days, means, variance, covariance, variance of the residual."""

    days: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    variance_x: float = 0.0
    covariance: float = 0.0
    variance: float = 0.0

    def residual(self, x: float, y: float, traits: FieldTraits) -> float:
        prior = traits.prior * min(PRIOR_DAYS / max(self.days, 1), 1.0)
        slope = (self.covariance + prior) / (self.variance_x + prior)
        return y - self.mean_y - min(max(slope, 0.0), 1.0) * (x - self.mean_x)

    def sigma(self, traits: FieldTraits) -> float:
        return max(sqrt(max(self.variance, 0.0)), traits.least_sigma)

    def learn(self, x: float, y: float, traits: FieldTraits) -> None:
        residual = self.residual(x, y, traits)
        self.days = min(self.days + 1, MEMORY_DAYS)
        weight = 1 / self.days
        if self.days > LEARN_DAYS:
            limit = _OUTLIER * self.sigma(traits)
            clipped = min(max(residual, -limit), limit)
            y, residual = y + clipped - residual, clipped
        dx, dy = x - self.mean_x, y - self.mean_y
        self.mean_x += weight * dx
        self.mean_y += weight * dy
        self.variance_x = (1 - weight) * (self.variance_x + weight * dx * dx)
        self.covariance = (1 - weight) * (self.covariance + weight * dx * dy)
        self.variance = (1 - weight) * (self.variance + weight * residual * residual)

    def numbers(self) -> list[float]:
        return [self.days, self.mean_x, self.mean_y, self.variance_x, self.covariance, self.variance]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The daily mean of a neighbour, and the mean of its last days."""

    id: str
    mean: float
    recent: float


def level(mean: float, traits: FieldTraits) -> float:
    if traits.scale is Comparison.LOG:
        return log(max(mean, 0.0) + max(traits.offset, 1e-6))
    return mean


def judge(
    state: FieldState, name: str, day: int, mean: float, neighbours: Sequence[Neighbour], at_ms: int, standing: Standing
) -> None:
    """Judge a daily mean, of the day of this number since the epoch."""
    traits, own = state.traits, level(mean, state.traits)
    pairs = {one.id: Pair(*_six(state.pairs.get(one.id, ()))) for one in neighbours}
    scores: dict[str, float] = {}
    for one in neighbours:
        pair = pairs[one.id]
        if pair.days >= LEARN_DAYS:
            score = pair.residual(level(one.mean, traits), own, traits) / pair.sigma(traits)
            scores[one.id] = min(max(score, -CAP), CAP)
    is_held = max(state.sum_up, state.sum_down) > HOLD
    if not scores:
        stop(state, name, at_ms, standing)
    else:
        limit = H * standing.factor(AnomalyKind.DRIFT, name)
        _add(state, _median(list(scores.values())), limit)
        _conclude(state, name, _Day(day, mean, neighbours, pairs, scores), limit, at_ms, standing)
        is_held = max(state.sum_up, state.sum_down) > HOLD
    for one in neighbours:
        if not is_held or pairs[one.id].days < LEARN_DAYS:
            pairs[one.id].learn(level(one.mean, traits), own, traits)
    silent = [(neighbour, numbers) for neighbour, numbers in state.pairs.items() if neighbour not in pairs]
    judged = [(neighbour, pair.numbers()) for neighbour, pair in pairs.items()]
    state.pairs = dict((judged + silent)[:PAIRS_LIMIT])


def stop(state: FieldState, name: str, at_ms: int, standing: Standing) -> None:
    """There is no neighbour to be judged by: it is new, or the device has moved."""
    state.sum_up = state.sum_down = 0.0
    standing.resolve(AnomalyKind.DRIFT, name, at_ms)


@dataclass(frozen=True, slots=True)
class _Day:
    number: int
    mean: float
    neighbours: Sequence[Neighbour]
    pairs: Mapping[str, Pair]
    scores: Mapping[str, float]


def _six(numbers: Sequence[float]) -> tuple[int, float, float, float, float, float]:
    if not numbers:
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0
    days, *others = numbers
    mean_x, mean_y, variance_x, covariance, variance = others
    return int(days), mean_x, mean_y, variance_x, covariance, variance


def _median(scores: list[float]) -> float:
    scores.sort()
    middle = len(scores) // 2
    return scores[middle] if len(scores) % 2 else min(scores[middle - 1 : middle + 1], key=abs)


def _add(state: FieldState, score: float, limit: float) -> None:
    state.sum_up = min(max(state.sum_up + score - K, 0.0), _HIGHEST * limit)
    state.sum_down = min(max(state.sum_down - score - K, 0.0), _HIGHEST * limit)


def _conclude(state: FieldState, name: str, day: _Day, limit: float, at_ms: int, standing: Standing) -> None:
    total = max(state.sum_up, state.sum_down)
    if standing.get(AnomalyKind.DRIFT, name) is not None:
        if total <= ENDED:
            standing.resolve(AnomalyKind.DRIFT, name, at_ms)
    elif total >= limit and (len(day.scores) > 1 or _moved_further(state, day)):
        standing.detect(AnomalyKind.DRIFT, name, at_ms, _evidence(state, day, limit))


def _moved_further(state: FieldState, day: _Day) -> bool:
    """Whether of two sensors this one is further from its own mean, over the last days."""
    (neighbour,) = (one for one in day.neighbours if one.id in day.scores)
    pair = day.pairs[neighbour.id]
    own = level(sum(mean for _, mean in state.days) / len(state.days), state.traits) if state.days else pair.mean_y
    return abs(own - pair.mean_y) >= abs(level(neighbour.recent, state.traits) - pair.mean_x)


def _evidence(state: FieldState, day: _Day, limit: float) -> Evidence:
    neighbour = max((one for one in day.neighbours if one.id in day.scores), key=lambda one: abs(day.scores[one.id]))
    residual = day.pairs[neighbour.id].residual(
        level(neighbour.mean, state.traits), level(day.mean, state.traits), state.traits
    )
    is_log = state.traits.scale is Comparison.LOG
    ratio = exp(min(max(residual, -20.0), 20.0))
    offset = state.traits.offset
    numbers = {
        "change": (ratio - 1) * 100 if is_log else residual,
        "mean": day.mean,
        "expected": max((day.mean + offset) / ratio - offset, 0.0) if is_log else day.mean - residual,
        "neighbourMean": neighbour.mean,
        "sum": max(state.sum_up, state.sum_down),
        "limit": limit,
        "k": K,
    }
    key = "anomaly.driftPercent" if is_log else "anomaly.driftOffset"
    began_ms = day.number * DAY_MS
    own: tuple[Sample, ...] = tuple((int(number) * DAY_MS, mean) for number, mean in state.days)
    theirs = ((began_ms, neighbour.mean),)
    return Evidence(key, began_ms, numbers, own, neighbour.id, theirs)
