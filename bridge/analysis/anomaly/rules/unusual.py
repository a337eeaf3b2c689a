"""`unusual`: three hourly means in a row outside the 99.5 % interval of the forecast, on the same side.

It ends after two hours inside, and when there is no forecast any more.
"""

from bridge.analysis.anomaly.field_state import FieldState
from bridge.analysis.anomaly.record import AnomalyKind, Evidence
from bridge.analysis.anomaly.standing import Standing

Interval = tuple[float, float]
"""Between which the forecast expects an hourly mean, at 99.5 %."""

HOURS = 3
INSIDE_HOURS = 2
LEVEL_PERCENT = 99.5

_HOUR_MS = 3_600_000
_MOST_HOURS = 1_000_000


def judge_hour(
    state: FieldState, name: str, hour_ms: int, mean: float, interval: Interval | None, at_ms: int, standing: Standing
) -> None:
    """Judge the mean of the hour that began at `hour_ms`."""
    if interval is None:
        if state.outside or state.inside:
            state.outside = state.inside = 0
            standing.resolve(AnomalyKind.UNUSUAL, name, at_ms)
        return
    low, high = interval
    side = 1 if mean > high else -1 if mean < low else 0
    if side == 0:
        state.outside = 0
        state.inside = min(state.inside + 1, INSIDE_HOURS)
        if state.inside >= INSIDE_HOURS:
            standing.resolve(AnomalyKind.UNUSUAL, name, at_ms)
        return
    state.inside = 0
    state.outside = min(max(state.outside + side if state.outside * side > 0 else side, -_MOST_HOURS), _MOST_HOURS)
    hours = round(HOURS * standing.factor(AnomalyKind.UNUSUAL, name))
    if abs(state.outside) >= hours:
        numbers = {"mean": mean, "low": low, "high": high, "hours": float(hours), "level": LEVEL_PERCENT}
        key = "anomaly.unusualHigh" if side > 0 else "anomaly.unusualLow"
        began_ms = hour_ms - (hours - 1) * _HOUR_MS
        standing.detect(AnomalyKind.UNUSUAL, name, at_ms, Evidence(key, began_ms, numbers, ((hour_ms, mean),)))
