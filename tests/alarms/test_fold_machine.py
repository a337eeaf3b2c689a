"""The fold against a naive model, through any sequence of readings, gaps, actions, ticks and restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.alarms.actions import ActionKind
from bridge.alarms.conditions import Above
from bridge.alarms.record import Transition
from bridge.alarms.rules import Priority, Rule
from bridge.core.errors import AlarmStateError
from tests.alarms.folding import HOUR_MS, Bench, told
from tests.alarms.naive import NaiveRule

INTERVAL_MS = 10_000
LOW = Rule(
    id="low",
    field="temperature",
    condition=Above(30, 25),
    priority=Priority.MEDIUM,
    message="",
    advice="",
    suppressed_by=("high",),
)
HIGH = Rule(
    id="high", field="temperature", condition=Above(40, 35), priority=Priority.CRITICAL, message="", advice="", latched=True
)
VALUES = st.sampled_from([20.0, 25.0, 27.0, 30.0, 35.0, 37.0, 40.0, 45.0])
NAMES = st.sampled_from(["low", "high"])
DELAYS = st.sampled_from([0, 10, 25])


class FoldMachine(RuleBasedStateMachine):
    @initialize(votes=st.tuples(st.booleans(), st.booleans()), on=st.tuples(DELAYS, DELAYS), off=st.tuples(DELAYS, DELAYS))
    def start(self, votes: tuple[bool, bool], on: tuple[int, int], off: tuple[int, int]) -> None:
        low, high = (
            replace(one, two_of_three=votes[n], on_delay_seconds=on[n], off_delay_seconds=off[n])
            for n, one in enumerate((LOW, HIGH))
        )
        self.bench = Bench([low, high], INTERVAL_MS)
        above = NaiveRule(high)
        self.model = {"high": above, "low": NaiveRule(low, above)}
        self.is_after_gap = False
        self.send([20.0] * 7)

    def expect(self, said: list[Transition], expected: list[tuple[str, str]], at_ms: int) -> None:
        expected += [(kind, name) for name, one in self.model.items() if (kind := one.update_suppression(at_ms))]
        assert sorted(told(said)) == sorted(expected)

    @rule(values=st.lists(VALUES, min_size=1, max_size=8))
    def send(self, values: list[float]) -> None:
        for value in values:
            said = self.bench.send(temperature=value)
            now_ms, expected = self.bench.now_ms, []
            for name, one in self.model.items():
                if kind := one.observe(now_ms, value, after_gap=self.is_after_gap):
                    expected.append((kind, name))
            for kind, name in reversed(expected):
                if kind == "cleared":
                    self.model[name].on_cleared()
            for kind, name in expected:
                if kind == "raised":
                    self.model[name].on_raised(value)
            self.is_after_gap = False
            self.expect(said, expected, now_ms)

    @rule(value=VALUES)
    def flap(self, value: float) -> None:
        self.send([value, 20.0, value, 20.0, value])

    @rule(hours=st.sampled_from([0.5, 1, 3, 8]), value=VALUES)
    def wait(self, hours: float, value: float) -> None:
        """A gap, then readings for more than a minute, so that it stays a gap and does not become the interval."""
        due = [at for one in self.model.values() for at in (one.shelved_until, one.repeat_at, one.confirm_at)]
        end_ms = self.bench.now_ms + round(hours * HOUR_MS)
        for at_ms in sorted({at for at in due if at is not None and at <= end_ms} | {end_ms}):
            self.bench.now_ms = at_ms
            self.tick()
        self.is_after_gap = True
        self.send([value] * 8)

    def tick(self) -> None:
        now_ms = self.bench.now_ms
        expected = []
        for name, one in self.model.items():
            if one.repeat_at is not None and one.repeat_at == now_ms and not one.quiet:
                one.state, one.repeat_at = "unacknowledged", None
                expected.append(("repeated", name))
        for name, one in self.model.items():
            if one.shelved_until is not None and one.shelved_until <= now_ms:
                one.shelved_until = None
                one.show()
                expected.append(("unshelved", name))
        for name, one in self.model.items():
            if one.confirm_at == now_ms and (value := one.confirm()) is not None:
                one.on_raised(value)
                expected.append(("raised", name))
        self.expect(self.bench.fold.tick(now_ms), expected, now_ms)

    def attempt(self, is_allowed: bool, kind: ActionKind, name: str, said_kind: str, **parameters: int) -> None:
        if not is_allowed:
            with pytest.raises(AlarmStateError):
                self.bench.act(kind, name, **parameters)
            return
        self.expect(self.bench.act(kind, name, **parameters), [(said_kind, name)], self.bench.now_ms)

    @rule(name=NAMES)
    def acknowledge(self, name: str) -> None:
        allowed = self.model[name].acknowledge(self.bench.now_ms)
        self.attempt(allowed, ActionKind.ACKNOWLEDGE, name, "acknowledged")

    @rule(name=NAMES)
    def reset(self, name: str) -> None:
        one = self.model[name]
        is_allowed = one.state == "latched"
        if is_allowed:
            one.state = "normal"
        self.attempt(is_allowed, ActionKind.RESET, name, "reset")

    @rule(name=NAMES, hours=st.integers(1, 9))
    def shelve(self, name: str, hours: int) -> None:
        one, until_ms = self.model[name], self.bench.now_ms + hours * HOUR_MS
        is_allowed = hours <= 8 or name == "low"
        if is_allowed:
            one.shelved_until = until_ms
        self.attempt(is_allowed, ActionKind.SHELVE, name, "shelved", until_ms=until_ms)

    @rule(name=NAMES)
    def unshelve(self, name: str) -> None:
        one = self.model[name]
        is_allowed, one.shelved_until = one.shelved_until is not None, None
        if is_allowed:
            one.show()
        self.attempt(is_allowed, ActionKind.UNSHELVE, name, "unshelved")

    @rule(name=NAMES)
    def switch_service(self, name: str) -> None:
        one = self.model[name]
        one.out_of_service = not one.out_of_service
        if one.out_of_service:
            self.attempt(True, ActionKind.OUT_OF_SERVICE, name, "out-of-service")
        else:
            one.show()
            self.attempt(True, ActionKind.IN_SERVICE, name, "in-service")

    @precondition(lambda self: hasattr(self, "bench"))
    @rule()
    def restart(self) -> None:
        self.bench.restart()

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        for name, one in getattr(self, "model", {}).items():
            record = self.bench.record(name)
            assert (record is None) is (one.state == "normal" and not one.hidden)
            if record is not None:
                shown = (record.state.value, record.shelved_until_ms, record.out_of_service, record.suppressed_by is not None)
                assert shown == (one.state, one.shelved_until, one.out_of_service, one.suppressed)
                if record.is_active:
                    assert record.peak is not None
                    assert record.peak.value == one.peak


TestFoldMachine = FoldMachine.TestCase
TestFoldMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
