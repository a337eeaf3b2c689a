"""A checkpoint and the inputs after it give what all inputs give; ticks that said nothing may be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bridge.alarms.actions import ActionKind, OperatorAction
from bridge.alarms.conditions import Above, Below, ChangesBy, Mean
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.fold import AlarmFold
from bridge.alarms.record import Transition, alarm_from_document, transition_from_document
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.scope import DeviceFacts
from bridge.core.errors import BridgeError
from bridge.core.message import DeviceStatus
from bridge.core.readings.measurements import Value
from tests.alarms.folding import START_MS, reading

OWN = Rule(
    id="own", field="temperature", condition=Below(5, 6), priority=Priority.LOW, message="", advice="", on_delay_seconds=20
)
RULES = [
    *DEFAULT_RULES,
    OWN,
    replace(OWN, id="jump", condition=ChangesBy(10, 60, 2)),
    replace(OWN, id="mean", condition=Above(40, 38), averaging=Mean(5)),
]
by_id = attrgetter("id")
Input = Callable[[AlarmFold], list[Transition]]

VALUES: dict[str, list[Value]] = {
    "temperature": [21.0, 4.0, 45.0, 60.0],
    "coPpm": [0.0, 40.0, 150.0, 400.0],
    "co2": [600.0, 2500.0, 6000.0, 31_000.0],
    "pm25": [5.0, 80.0, 400.0],
    "ch4Ppm": [10.0, 5000.0, 9000.0],
    "flameDetected": [False, True],
    "battery": [80.0, 10.0],
    "aqiScale": ["uba"],
}
QUALITY = st.sampled_from(
    [{}, {}, {}, {"coPpm": "not a number"}, {"timestamp": "more than 5 minutes ahead"}, {"co2": "doubtful"}]
)
KINDS = st.sampled_from(list(ActionKind))


@st.composite
def inputs(draw: st.DrawFn) -> list[tuple[str, Input]]:
    """Runs of readings of three devices, with whatever else happens between them; each with its kind."""
    now_ms, made = START_MS, list[tuple[str, Input]]()
    for _ in range(draw(st.integers(5, 25))):
        device = draw(st.sampled_from(["a", "b", "c"]))
        fields = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4, unique=True))
        values: dict[str, Any] = {name: draw(st.sampled_from(VALUES[name])) for name in fields}
        interval_ms = draw(st.sampled_from([1000, 1000, 10_000, 60_000, 300_000]))
        late_ms = draw(st.sampled_from([0, 0, 0, 0, 5000, 90_000]))
        quality = draw(QUALITY)
        retained = draw(st.integers(0, 9)) == 0
        for _ in range(draw(st.integers(1, 40))):
            now_ms += interval_ms
            one = reading(now_ms - late_ms, values, device=device, quality=quality, received_ms=now_ms, retained=retained)
            made.append(("reading", partial(AlarmFold.step, reading=one)))
        now_ms += draw(st.sampled_from([0, 0, 30_000, 600_000, 4_000_000]))
        made.append(("tick", partial(AlarmFold.tick, now_ms=now_ms)))
        match draw(st.integers(0, 6)):
            case 0 | 1 | 2:
                action = OperatorAction(
                    draw(KINDS),
                    device,
                    draw(st.sampled_from([rule.id for rule in RULES])),
                    "ada",
                    now_ms,
                    until_ms=now_ms + 900_000,
                )
                made.append(("action", partial(_attempt, action=action)))
            case 3:
                status = DeviceStatus(device, "offline", now_ms)
                made.append(("status", partial(AlarmFold.on_status, status=status)))
            case 4:
                up = draw(st.booleans())
                made.append(("other", partial(AlarmFold.on_availability, component="broker", at_ms=now_ms, is_available=up)))
            case 5:
                facts = DeviceFacts(draw(st.sampled_from([None, "Home"])))
                made.append(("other", partial(AlarmFold.set_facts, device_id=device, facts=facts, at_ms=now_ms)))
    return made


def _attempt(fold: AlarmFold, action: OperatorAction) -> list[Transition]:
    try:
        return fold.operate(action)
    except BridgeError:
        return []


@settings(max_examples=60, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(inputs(), st.data())
def test_replay_from_any_checkpoint_gives_the_same_transitions(made: list[tuple[str, Input]], data: st.DataObject) -> None:
    fold = AlarmFold(RULES)
    stops = sorted(data.draw(st.lists(st.integers(0, len(made) - 1), min_size=1, max_size=4)))
    said, checkpoints = list[list[Transition]](), dict[int, bytes]()
    for number, (_, one) in enumerate(made):
        if number in stops:
            checkpoints[number] = orjson.dumps(fold.public())
        said.append(one(fold))
    for number, checkpoint in checkpoints.items():
        again = AlarmFold.restored(RULES, orjson.loads(checkpoint))
        for (kind, one), expected in zip(made[number:], said[number:], strict=True):
            if kind == "tick" and not expected:
                continue
            assert one(again) == expected
        assert sorted(again.records(), key=by_id) == sorted(fold.records(), key=by_id)
        assert again.counts == fold.counts
    ids = [one.id for some in said for one in some]
    assert len(ids) == len(set(ids))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs())
def test_records_and_transitions_survive_their_documents(made: list[tuple[str, Input]]) -> None:
    fold = AlarmFold(RULES)
    for _, one in made:
        for transition in one(fold):
            assert transition_from_document(orjson.loads(orjson.dumps(transition.to_document()))) == transition
            orjson.dumps(transition.public())
    for record in fold.records():
        assert alarm_from_document(orjson.loads(orjson.dumps(record.to_document()))) == record


@pytest.mark.parametrize("number", range(0, 1200, 171))
def test_values_between_bounds_are_counted_alike_with_and_without_a_restart(number: int) -> None:
    one, other = AlarmFold(RULES), AlarmFold(RULES)
    values: dict[str, Value] = {"temperature": 21.3, "coPpm": 1.7, "co2": 612.1, "pm25": 4.3, "aqiScale": "uba"}
    for second in range(1200):
        if second == number:
            other = AlarmFold.restored(RULES, orjson.loads(orjson.dumps(other.public())))
        for fold in (one, other):
            fold.step(
                reading(
                    START_MS + second * 1000, {name: value for name, value in values.items() if second % 7 or name != "co2"}
                )
            )
    assert one.public() == other.public()
