"""`stuck`: a value does not change; and `cross` of fields of one element that froze at the same time.

A value is stuck after 24 hours, or twice the longest run of equal values that ended by itself, whichever is longer; it
takes 12 readings. A field that was never seen to change in six different hours has 72 hours. Values at rest (0, the baseline of
a sensor) are never stuck; those at an end of the range are `saturated`.

Fields that stop within three readings are unlikely to do so by chance: half of the time is enough for two of one element, which
have changed in at least 24 different hours each.
"""

from collections.abc import Mapping

from bridge.analysis.anomaly.field_state import FieldState
from bridge.analysis.anomaly.record import AnomalyKind, AnomalyOutcome, Evidence
from bridge.analysis.anomaly.standing import Standing
from bridge.analysis.anomaly.traits import ELEMENTS

HOUR_MS = 3_600_000
STUCK_MS = 24 * HOUR_MS
UNKNOWN_MS = 72 * HOUR_MS
RUNS = 2.0
"""In 36 months of four series, none of which is stuck, 2 finds as little as 3, also at coarse resolutions."""

READINGS = 12
TOGETHER = 0.5
APART_READINGS = 3
"""A coarse value may have been the same for a few readings before it froze."""

_KNOWN_HOURS = 6
_KNOWN_HOURS_TOGETHER = 24
_KINDS = (AnomalyKind.STUCK, AnomalyKind.CROSS)


def limit_ms(state: FieldState) -> float:
    """Return how long a value may stay the same."""
    return max(STUCK_MS if state.hours_changed >= _KNOWN_HOURS else UNKNOWN_MS, RUNS * state.longest_ms)


def end_run(state: FieldState, name: str, at_ms: int, standing: Standing) -> bool:
    """The value has changed: learn the length of the run, unless it was an anomaly, which ends. Return whether it was."""
    found = standing.get(AnomalyKind.STUCK, name) or standing.get(AnomalyKind.CROSS, name)
    if found is not None and found.key != "anomaly.crossJump":
        standing.resolve(found.kind, name, at_ms)
        return True
    if _thawed_later(state, name, standing):
        return True
    state.longest_ms = max(state.longest_ms, at_ms - state.since_ms)
    return False


def _thawed_later(state: FieldState, name: str, standing: Standing) -> bool:
    """Whether the run belongs to a `cross` which another of its fields has ended."""
    return any(
        one.key == "anomaly.crossFreeze"
        and name in one.fields
        and one.detected_ms >= state.since_ms
        and one.outcome is not AnomalyOutcome.WRONG
        for one in standing.recent
    )


def judge_hour(fields: Mapping[str, FieldState], at_ms: int, reading: int, standing: Standing) -> None:
    """Judge all fields of a device at a time, at its reading of this number."""
    still = {
        name: state
        for name, state in fields.items()
        if reading - state.since_reading >= READINGS
        and at_ms - state.since_ms >= STUCK_MS * TOGETHER
        and state.value not in state.traits.rests
        and not state.end_since_ms
    }
    if not still:
        return
    for element in ELEMENTS:
        _judge_together({name: still[name] for name in element & still.keys()}, at_ms, standing)
    for name, state in still.items():
        limit = limit_ms(state) * standing.factor(AnomalyKind.STUCK, name)
        if at_ms - state.since_ms >= limit and all(standing.get(kind, name) is None for kind in _KINDS):
            standing.detect(AnomalyKind.STUCK, name, at_ms, _evidence("anomaly.stuck", state, at_ms, limit))


def _judge_together(fields: Mapping[str, FieldState], at_ms: int, standing: Standing) -> None:
    ready = {name: state for name, state in fields.items() if state.hours_changed >= _KNOWN_HOURS_TOGETHER}
    newest = max((state.since_reading for state in ready.values()), default=0)
    together = {name: state for name, state in sorted(ready.items()) if newest - state.since_reading <= APART_READINGS}
    if len(together) < 2 or any(standing.get(kind, name) is not None for kind in _KINDS for name in together):
        return
    factor = max(standing.factor(AnomalyKind.CROSS, name) for name in together)
    limit = max(limit_ms(state) for state in together.values()) * TOGETHER * factor
    first, *_ = together
    if all(at_ms - state.since_ms >= limit for state in together.values()):
        evidence = _evidence("anomaly.crossFreeze", together[first], at_ms, limit, tuple(together))
        standing.detect(AnomalyKind.CROSS, first, at_ms, evidence)


def _evidence(key: str, state: FieldState, at_ms: int, limit: float, fields: tuple[str, ...] = ()) -> Evidence:
    numbers = {
        "value": state.value,
        "hours": (at_ms - state.since_ms) / HOUR_MS,
        "limitHours": limit / HOUR_MS,
        "longestHours": state.longest_ms / HOUR_MS,
    }
    samples = ((state.since_ms, state.value), (at_ms, state.value))
    return Evidence(key, state.since_ms, numbers, samples, fields=fields)
