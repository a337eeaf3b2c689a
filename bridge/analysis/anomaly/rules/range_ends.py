"""`saturated`: the value stays at an end of the sensor's range.

Below the usual range it is one only if it does not change: a sensor with an offset shows such values too.
"""

from bridge.analysis.anomaly.field_state import FieldState
from bridge.analysis.anomaly.record import AnomalyKind, Evidence
from bridge.analysis.anomaly.standing import Standing

READINGS = 5
"""How many readings it takes, besides the `end_minutes` of the field."""

AWAY_MS = 3_600_000
"""It ends when the value was not at an end for this long."""

_MINUTE_MS = 60_000


def judge(state: FieldState, name: str, value: float, at_ms: int, standing: Standing) -> bool:
    """Take a value into account; return whether it is at an end of the range."""
    if not state.traits.is_at_end(value):
        if state.end_since_ms and standing.get(AnomalyKind.SATURATED, name) is None:
            state.end_since_ms = state.end_ms = state.end_readings = 0
        return False
    is_low = value <= state.traits.usual[0]
    if not state.end_since_ms or (is_low and value != state.value and standing.get(AnomalyKind.SATURATED, name) is None):
        state.end_since_ms, state.end_readings = at_ms, 0
    state.end_ms = at_ms
    state.end_readings += 1
    minutes = state.traits.end_minutes * standing.factor(AnomalyKind.SATURATED, name)
    if state.end_readings >= READINGS and at_ms - state.end_since_ms >= minutes * _MINUTE_MS:
        key = "anomaly.saturatedLow" if is_low else "anomaly.saturatedHigh"
        numbers = {"value": value, "minutes": minutes, "readings": float(READINGS)}
        samples = ((state.end_since_ms, value), (at_ms, value))
        standing.detect(AnomalyKind.SATURATED, name, at_ms, Evidence(key, state.end_since_ms, numbers, samples))
    return True


def judge_hour(state: FieldState, name: str, at_ms: int, standing: Standing) -> None:
    """End it after an hour within the range."""
    if state.end_since_ms and at_ms - state.end_ms >= AWAY_MS:
        state.end_since_ms = state.end_ms = state.end_readings = 0
        standing.resolve(AnomalyKind.SATURATED, name, at_ms)
