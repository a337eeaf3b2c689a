"""`spike`, `step` and the `cross` of fields that jump together, in fields with inertia.

Only readings at most two intervals apart are compared. A jump is suspicious above twice the largest natural one of the field,
and above what the quantity can do by itself (`least_step`; `least_cross` where another field of the element jumps within a
minute).
What follows decides:

- the value is as before within two readings: a spike. Five of them within 24 hours are an anomaly, until 24 hours have none;
- it stays beyond half of the jump for an hour and six readings: a step, until the level is as before for an hour, or for 24
  hours, when the new level counts as normal;
- two fields of one element jump, and both stay for three readings: a `cross`, until all are as before for ten minutes, or for
  24 hours;
- otherwise it was natural, and the largest natural jump grows.
"""

from collections.abc import Mapping

from bridge.analysis.anomaly.field_state import FieldState, Jump
from bridge.analysis.anomaly.record import AnomalyKind, AnomalyOutcome, Evidence
from bridge.analysis.anomaly.standing import Standing
from bridge.analysis.anomaly.traits import ELEMENTS

NATURAL = 2.0
STEP_MS = 3_600_000
STEP_READINGS = 6
SPIKE_READINGS = 3
SPIKES = 5
DAY_MS = 86_400_000
CROSS_MS = 60_000
CROSS_READINGS = 3
BACK_MS = {AnomalyKind.STEP: 3_600_000, AnomalyKind.CROSS: 600_000}

_BACK_SHARE = 0.25
_STAY_SHARE = 0.5
_HIGHEST_FACTOR = 8.0


def limit(state: FieldState, name: str, kind: AnomalyKind, standing: Standing) -> float | None:
    """Return the jump above which a field is suspicious; None if it may jump."""
    least = state.traits.least_cross if kind is AnomalyKind.CROSS else state.traits.least_step
    return None if least is None else max(least, NATURAL * state.largest) * standing.factor(kind, name)


def begin(state: FieldState, name: str, value: float, at_ms: int, standing: Standing) -> bool:
    """Judge the jump from the last value to this one; return whether it is suspicious."""
    least = limit(state, name, AnomalyKind.CROSS, standing)
    size = value - state.value
    if least is None:
        return False
    if abs(size) <= least:
        state.learn_jump(size)
        return False
    alone = limit(state, name, AnomalyKind.STEP, standing)
    state.jump = Jump(state.value, size, at_ms, is_large=alone is not None and abs(size) > alone)
    return True


def follow(state: FieldState, name: str, value: float, at_ms: int, standing: Standing) -> None:
    """Take the next value after a suspicious jump into account."""
    jump = state.jump
    if jump is None:
        return
    jump.readings += 1
    kind = AnomalyKind.STEP if jump.is_alone else AnomalyKind.CROSS
    if not jump.is_alone or standing.get(AnomalyKind.STEP, name) is not None:
        _wait_for_return(state, name, value, at_ms, standing, kind)
    elif jump.share(value) < _STAY_SHARE:
        _end_early(state, name, value, at_ms, standing)
    elif at_ms - jump.at_ms >= STEP_MS and jump.readings >= STEP_READINGS:
        _end_late(state, name, value, at_ms, standing)


def _end_early(state: FieldState, name: str, value: float, at_ms: int, standing: Standing) -> None:
    jump = state.jump
    assert jump is not None  # noqa: S101 - its only caller has one
    state.jump = None
    if jump.is_large and jump.readings <= SPIKE_READINGS and abs(jump.share(value)) <= _BACK_SHARE:
        _count_spike(state, name, jump, at_ms, standing)
    else:
        state.learn_jump(jump.size)


def _end_late(state: FieldState, name: str, value: float, at_ms: int, standing: Standing) -> None:
    jump = state.jump
    assert jump is not None  # noqa: S101 - its only caller has one
    if not jump.is_large:
        state.jump = None
        state.learn_jump(jump.size)
        return
    evidence = Evidence("anomaly.step", jump.at_ms, _numbers(state, jump), _samples(jump, value, at_ms))
    standing.detect(AnomalyKind.STEP, name, at_ms, evidence)


def _count_spike(state: FieldState, name: str, jump: Jump, at_ms: int, standing: Standing) -> None:
    limit = round(SPIKES * standing.factor(AnomalyKind.SPIKE, name))
    state.spikes = [*(one for one in state.spikes if at_ms - one < DAY_MS), jump.at_ms][-round(SPIKES * _HIGHEST_FACTOR) :]
    if len(state.spikes) >= limit:
        numbers = _numbers(state, jump) | {"spikes": float(len(state.spikes)), "limit": float(limit)}
        evidence = Evidence("anomaly.spike", state.spikes[0], numbers, ((jump.at_ms, jump.base + jump.size),))
        standing.detect(AnomalyKind.SPIKE, name, at_ms, evidence)


def _wait_for_return(state: FieldState, name: str, value: float, at_ms: int, standing: Standing, kind: AnomalyKind) -> None:
    jump = state.jump
    assert jump is not None  # noqa: S101 - its only caller has one
    if abs(jump.share(value)) > _BACK_SHARE:
        jump.back_ms = 0
    elif not jump.back_ms:
        jump.back_ms = at_ms
    elif at_ms - jump.back_ms >= BACK_MS[kind]:
        state.jump = None
        if kind is AnomalyKind.STEP:
            standing.resolve(kind, name, at_ms)


def judge_hour(fields: Mapping[str, FieldState], at_ms: int, standing: Standing) -> None:
    """End spikes that are a day old, and accept levels that have lasted for a day."""
    for name, state in fields.items():
        if state.spikes and at_ms - state.spikes[-1] >= DAY_MS:
            state.spikes = []
            standing.resolve(AnomalyKind.SPIKE, name, at_ms)
        if state.jump is not None and at_ms - state.jump.at_ms >= DAY_MS:
            state.jump = None
            standing.resolve(AnomalyKind.STEP, name, at_ms, AnomalyOutcome.ACCEPTED)


def judge_together(fields: Mapping[str, FieldState], at_ms: int, standing: Standing) -> None:
    """Find fields of one element that jumped together, and end what stands when all of them are as before."""
    for anomaly in standing.anomalies:
        if anomaly.key == "anomaly.crossJump" and all(_is_back(fields.get(name)) for name in anomaly.fields):
            lasted = at_ms - anomaly.began_ms >= DAY_MS
            standing.resolve(anomaly.kind, anomaly.field, at_ms, AnomalyOutcome.ACCEPTED if lasted else AnomalyOutcome.ENDED)
    jumping = {name: state.jump for name, state in fields.items() if state.jump is not None and state.jump.is_alone}
    if len(jumping) > 1:
        for element in ELEMENTS:
            _judge_element({name: jump for name, jump in jumping.items() if name in element}, fields, at_ms, standing)


def _is_back(state: FieldState | None) -> bool:
    return state is None or state.jump is None or state.jump.is_alone


def _judge_element(jumping: Mapping[str, Jump], fields: Mapping[str, FieldState], at_ms: int, standing: Standing) -> None:
    ready = {name: jump for name, jump in jumping.items() if jump.readings >= CROSS_READINGS}
    if len(ready) < 2:
        return
    newest = max(jump.at_ms for jump in ready.values())
    together = sorted(name for name, jump in ready.items() if newest - jump.at_ms <= CROSS_MS)
    if len(together) < 2 or any(standing.get(kind, one) for one in together for kind in (AnomalyKind.STEP, AnomalyKind.CROSS)):
        return
    first = together[0]
    jump, state = ready[first], fields[first]
    evidence = Evidence(
        "anomaly.crossJump", jump.at_ms, _numbers(state, jump), _samples(jump, state.value, at_ms), fields=tuple(together)
    )
    standing.detect(AnomalyKind.CROSS, first, at_ms, evidence)
    for name in together:
        ready[name].is_alone = False


def _numbers(state: FieldState, jump: Jump) -> dict[str, float]:
    return {"before": jump.base, "after": jump.base + jump.size, "change": jump.size, "natural": state.largest}


def _samples(jump: Jump, value: float, at_ms: int) -> tuple[tuple[int, float], ...]:
    return (jump.at_ms, jump.base), (jump.at_ms, jump.base + jump.size), (at_ms, value)
