"""`warm-up`: after a pause a heated or chemical sensor shows what it never showed before, until it has settled.

Judged once there are natural extremes of 15 days: the first value after the pause is beyond them by a tenth of their span. It
ends when a value is within them, or after an hour, when the values count as true.
"""

from bridge.analysis.anomaly.field_state import FieldState
from bridge.analysis.anomaly.record import AnomalyKind, AnomalyOutcome, Evidence
from bridge.analysis.anomaly.standing import Standing

WARM_UP_MS = 3_600_000
"""How long sensors are not expected to have settled: no jumps are judged in this time."""

MARGIN = 0.1


def begin(state: FieldState, name: str, value: float, at_ms: int, since: tuple[int, float], standing: Standing) -> None:
    """Judge the first value after a pause; `since` are time and value before it."""
    extremes = state.natural_range
    if extremes is None or not state.traits.warms_up:
        return
    low, high = extremes
    margin = (high - low) * MARGIN * standing.factor(AnomalyKind.WARM_UP, name)
    if low - margin <= value <= high + margin:
        return
    numbers = {"value": value, "low": low, "high": high, "minutes": WARM_UP_MS / 60_000}
    standing.detect(AnomalyKind.WARM_UP, name, at_ms, Evidence("anomaly.warmUp", at_ms, numbers, (since, (at_ms, value))))


def judge_hour(name: str, at_ms: int, standing: Standing) -> None:
    """End it after an hour, whether the field is still sent or not."""
    found = standing.get(AnomalyKind.WARM_UP, name)
    if found is not None and at_ms - found.began_ms >= WARM_UP_MS:
        standing.resolve(AnomalyKind.WARM_UP, name, at_ms, AnomalyOutcome.ACCEPTED)


def follow(state: FieldState, name: str, value: float, at_ms: int, standing: Standing) -> bool:
    """Take a later value into account; return whether the sensor is still warming up."""
    found = standing.get(AnomalyKind.WARM_UP, name)
    if found is None:
        return False
    low, high = state.natural_range or (value, value)
    is_settled = low <= value <= high
    if is_settled or at_ms - found.began_ms >= WARM_UP_MS:
        standing.resolve(AnomalyKind.WARM_UP, name, at_ms, AnomalyOutcome.ENDED if is_settled else AnomalyOutcome.ACCEPTED)
        return False
    return True
