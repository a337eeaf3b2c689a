"""The fold of one device: its windows, the rules that apply to it, and what has become of each of them."""

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Any, NamedTuple

from bridge.air.windows import DeviceWindow, FieldWindow
from bridge.alarms.conditions import Missing, Silence
from bridge.alarms.record import AlarmRecord, Transition
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.scope import UNKNOWN_FACTS, DeviceFacts
from bridge.alarms.states.health import DeviceHealth
from bridge.alarms.states.lag import ClockLag
from bridge.alarms.states.lifecycle import Alarm, Cause, Groups, Occasion
from bridge.alarms.states.meters import DoseMeter, Memory, Meter, Verdict, bounds_of, meter_of, number
from bridge.alarms.states.past_runs import PastRuns
from bridge.alarms.states.plans import DevicePlan, FieldPlan, RuleBook, has_critical
from bridge.alarms.states.tracker import Change, Tracker
from bridge.core.readings.reading import Reading

_GAP_INTERVALS = 3


class RuleState:
    """What has become of one rule at one device. Only a rule of a field has a meter."""

    __slots__ = ("alarm", "meter", "rule", "tracker")

    def __init__(self, rule: Rule, groups: Groups, memory: Memory = None) -> None:
        self.rule = rule
        self.tracker = Tracker()
        self.alarm = Alarm(groups)
        self.meter: Meter | None = meter_of(rule, memory) if rule.field else None

    @property
    def is_new(self) -> bool:
        """Whether there is nothing to remember."""
        return self.tracker.is_new and self.alarm.record is None and (self.meter is None or self.meter.public() is None)

    @property
    def needs_each_value(self) -> bool:
        return not self.tracker.is_idle or (self.meter is not None and not self.meter.is_idle)

    def public(self) -> dict[str, Any]:
        memory = None if self.meter is None else self.meter.public()
        return {"tracker": self.tracker.public(), "alarm": self.alarm.public(), "memory": memory}

    @classmethod
    def restored(cls, rule: Rule, groups: Groups, body: Mapping[str, Any]) -> "RuleState":
        state = cls(rule, groups, body["memory"])
        state.tracker = Tracker.restored(body["tracker"])
        state.alarm = Alarm.restored(groups, body["alarm"])
        return state


class _Changed(NamedTuple):
    """A condition that began or ended to stand."""

    state: RuleState
    change: Change
    value: float | bool | None


class DeviceAlarms:
    """Everything that the fold remembers of one device. `id` is None for the bridge itself.

    `last_ms` is the time of the newest live reading, `received_ms` the arrival of the newest reading that was not retained.
    """

    __slots__ = (
        "_book", "_groups", "_hot", "facts", "health", "id", "is_attentive", "lag", "last_ms", "looked_ms", "past", "plan",
        "received_ms", "resumed_ms", "seq", "states", "timed", "window",
    )  # fmt: skip

    def __init__(self, device_id: str | None, book: RuleBook, groups: Groups, facts: DeviceFacts = UNKNOWN_FACTS) -> None:
        self.id = device_id
        self.facts = facts
        self.plan: DevicePlan = book.plan(device_id or "", facts)
        self.window = DeviceWindow()
        self.states: dict[str, RuleState] = {}
        self.health = DeviceHealth()
        self.past = PastRuns()
        self.lag = ClockLag()
        self.last_ms = 0
        self.looked_ms = 0
        """The time of the last reading that was looked at; there is at least one in each minute with readings."""
        self.resumed_ms = 0
        """The time of the first reading after the device's last silence."""
        self.received_ms = 0
        self.seq = 0
        """The cursor of the newest reading."""
        self.is_attentive = False
        """Whether each reading must be looked at, even if all its values are within their bounds."""
        self.timed: dict[str, int] = {}
        """The no-data rules that a timer runs for, and when it is due."""
        self._book = book
        self._groups = groups
        self._hot: dict[str, int] = {}
        """The time until which a field's averages can be set by a value that was measured."""

    @property
    def co_dose(self) -> DoseMeter | None:
        """The dose of carbon monoxide that is furthest on; None if no rule counts one, or there is none."""
        meters = (state.meter for state in self.states.values() if isinstance(state.meter, DoseMeter))
        return max(meters, key=lambda meter: meter.dose, default=None)

    def occasion(self, at_ms: int, reading: Reading | None = None) -> Occasion:
        return Occasion(self.id, self.facts, at_ms, self.seq, None if reading is None else str(reading.id))

    # --- readings ----------------------------------------------------------------------------------------------------------

    def on_reading(self, reading: Reading, at_ms: int, unusual: Iterable[FieldWindow]) -> list[Transition]:
        """Take a live reading into account, whose values are in the window already."""
        changed: list[_Changed] = []
        for window in unusual:
            plan = self.plan.fields.get(window.name)
            if plan is not None:
                if not plan.widths_ms <= window.rings.keys():
                    self.window.keep(window.name, plan.widths_ms)
                self._measure(plan, window, at_ms, changed)
        if reading.quality or self.is_attentive:
            self._check_health(reading, at_ms, changed)
        for rule in self.plan.missing:
            self._check_missing(rule, unusual, at_ms, changed)
        self.looked_ms = at_ms
        return self._apply(changed, self.occasion(at_ms, reading)) if changed else []

    def _check_missing(self, rule: Rule, unusual: Iterable[FieldWindow], at_ms: int, changed: list[_Changed]) -> None:
        """Look for fields that do not arrive any more, once a minute; for those that do again at once."""
        condition = rule.condition
        is_due = rule.id in self.states or any(window.first_ms == at_ms for window in unusual)
        if not isinstance(condition, Missing) or not is_due:
            return
        least_ms = round(condition.least_seconds * 1000)
        if at_ms - self.looked_ms > least_ms + condition.intervals * (self._interval_ms() or 0):
            self.resumed_ms = at_ms
        fields, missing = self.window.fields, 0
        for name in self.plan.expected & fields.keys():
            window = fields[name]
            longest_ms = max(condition.intervals * window.usual_interval_ms, least_ms)
            missing += window.is_steady and at_ms - max(window.at_ms, self.resumed_ms) >= longest_ms
        self._judge(rule, Verdict(missing > 0, not missing, missing), at_ms, changed)

    def set_back(self) -> None:
        """Forget what has a time: the clock of the bridge was set back, and all of it would be newer than what comes now."""
        self.window, self.health, self.lag = DeviceWindow(), DeviceHealth(), ClockLag()
        self.last_ms = self.looked_ms = self.resumed_ms = 0
        self._hot.clear()
        for state in self.states.values():
            state.tracker.raises_ms = []

    def _measure(self, plan: FieldPlan, window: FieldWindow, at_ms: int, changed: list[_Changed]) -> None:
        value = number(window)
        if plan.is_calm(value) and window.name not in self._hot and self.states.keys().isdisjoint(plan.ids):
            self.window.watch(window.name, plan.bounds)
            return
        if plan.heats(value):
            self._hot[window.name] = at_ms + plan.span_ms
        is_hot = self._hot.get(window.name, 0) > at_ms
        if not is_hot:
            self._hot.pop(window.name, None)
        is_needed = is_hot
        for rule in plan.rules:
            state = self.states.get(rule.id)
            if state is None:
                if not (is_hot if rule.averaging else _can_begin(rule, value)):
                    continue
                state = self.states[rule.id] = RuleState(rule, self._groups)
            self._measure_rule(state, window, at_ms, changed)
            state.tracker.expire(at_ms)
            if state.is_new:
                del self.states[rule.id]
            else:
                is_needed = is_needed or state.needs_each_value
        self.window.watch(window.name, None if is_needed else plan.bounds)

    @staticmethod
    def _measure_rule(state: RuleState, window: FieldWindow, at_ms: int, changed: list[_Changed]) -> None:
        meter, rule, tracker = state.meter, state.rule, state.tracker
        verdict = None if meter is None else meter.measure(window)
        if not rule.scope.is_open(at_ms):
            if tracker.is_active:
                changed.append(_Changed(state, Change.CLEAR, None))
            tracker.deactivate()
        elif verdict is not None:
            change = tracker.observe(
                rule, verdict, at_ms, is_continuous=window.is_continuous, interval_ms=window.usual_interval_ms
            )
            if change is not None:
                changed.append(_Changed(state, change, verdict.value))
            elif tracker.is_active:
                state.alarm.on_value(rule, verdict.value, at_ms)

    def confirm(self, rule: Rule, due_ms: int) -> list[Transition]:
        """Let a vote count twice that no further value has contradicted."""
        state, window = self.states.get(rule.id), self.window.fields.get(rule.field or "")
        if state is None or window is None or state.tracker.confirm_ms != due_ms or not rule.scope.is_open(due_ms):
            return []
        change = state.tracker.confirm(rule, due_ms)
        return [] if change is None else self._apply([_Changed(state, change, number(window))], self.occasion(due_ms))

    def _check_health(self, reading: Reading, at_ms: int, changed: list[_Changed]) -> None:
        self.health.add(at_ms, reading.values, reading.quality)
        for rule in self.plan.flagged:
            self._judge(rule, self.health.flagged(rule.condition, at_ms), at_ms, changed)  # type: ignore[arg-type]
        for rule in self.plan.clock:
            self._judge(rule, self._clock_verdict(rule), at_ms, changed)
        self._end_silence(changed)
        self.is_attentive = self._needs_attention()

    def _needs_attention(self) -> bool:
        is_told = all((state := self.states.get(rule.id)) is not None and state.tracker.is_active for rule in self.plan.clock)
        return not self.health.is_good or (self.lag.is_constant and not is_told)

    def _clock_verdict(self, rule: Rule) -> Verdict:
        return self.health.clock(rule.condition, is_behind=self.lag.is_constant)  # type: ignore[arg-type]

    def _judge(self, rule: Rule, verdict: Verdict | None, at_ms: int, changed: list[_Changed]) -> None:
        state = self.states.get(rule.id)
        if verdict is None or (state is None and not verdict.is_set):
            return
        state = state or self._state(rule)
        change = state.tracker.observe(rule, verdict, at_ms, is_continuous=True)
        if change is not None:
            changed.append(_Changed(state, change, verdict.value))
        state.tracker.expire(at_ms)
        if state.is_new:
            del self.states[rule.id]

    def _end_silence(self, changed: list[_Changed]) -> None:
        """End the silence of the device."""
        for rule in self.plan.no_data:
            state = self.states.get(rule.id)
            if state is not None and state.tracker.is_active:
                state.tracker.deactivate()
                changed.append(_Changed(state, Change.CLEAR, None))

    def on_late(self, reading: Reading, at_ms: int) -> tuple[bool, list[Transition]]:
        """Take a reading into account that came too late or was retained. Returns whether it violates a limit too."""
        is_beyond, ended = self.past.add(self.plan, reading, at_ms)
        transitions = [one for rule in ended for one in self.past.tell(rule, self.id or "", self.facts)]
        if self.is_attentive and not reading.retained:
            changed: list[_Changed] = []
            self._end_silence(changed)
            for rule in self.plan.clock:
                self._judge(rule, self._clock_verdict(rule), at_ms, changed)
            self.is_attentive = self._needs_attention()
            transitions += self._apply(changed, self.occasion(reading.received_ms, reading), reading.values)
        return is_beyond, transitions

    # --- silence -----------------------------------------------------------------------------------------------------------

    def silent_from_ms(self, rule: Rule, since_ms: int) -> int | None:
        """Return when a silence becomes too long that began with the last reading, not before `since_ms`; None if unknown."""
        condition = rule.condition
        if not isinstance(condition, Silence):
            return None
        interval_ms = self._interval_ms()
        if interval_ms is None:
            return None
        least_ms = round(condition.least_seconds * 1000)
        return max(self.received_ms, since_ms) + max(condition.intervals * interval_ms, least_ms)

    @property
    def is_regular(self) -> bool:
        """Whether the device is expected to send again: its interval was set, or it has sent often enough to have one."""
        return self.facts.expected_seconds is not None or any(one.is_regular for one in self.window.fields.values())

    def _interval_ms(self) -> int | None:
        if self.facts.expected_seconds is not None:
            return round(self.facts.expected_seconds * 1000)
        known = [
            one.interval_ms
            for one in self.window.fields.values()
            if one.interval_ms and one.at_ms >= self.last_ms - _GAP_INTERVALS * one.interval_ms
        ]
        return min(known, default=None)

    def stand(self, rule: Rule, at_ms: int) -> list[Transition]:
        """Let a condition stand that has no values: silence, or a component that is unavailable."""
        state = self._state(rule)
        if state.tracker.is_active:
            return []
        state.tracker.activate(at_ms)
        self.is_attentive = True
        return self._apply([_Changed(state, Change.SET, None)], self.occasion(at_ms))

    def end(self, rule: Rule, at_ms: int) -> list[Transition]:
        """Let the condition of `stand` end."""
        state = self.states.get(rule.id)
        if state is None or not state.tracker.is_active:
            return []
        state.tracker.deactivate()
        return self._apply([_Changed(state, Change.CLEAR, None)], self.occasion(at_ms))

    # --- alarms ------------------------------------------------------------------------------------------------------------

    def state_of(self, rule: Rule) -> RuleState:
        """Return the state of a rule, for an operator's action."""
        return self._state(rule)

    def drop_new(self, rule: Rule) -> None:
        """Forget the state of a rule if there is nothing to remember."""
        state = self.states.get(rule.id)
        if state is not None and state.is_new:
            del self.states[rule.id]

    def _state(self, rule: Rule) -> RuleState:
        found = self.states.get(rule.id)
        if found is None:
            found = self.states[rule.id] = RuleState(rule, self._groups)
        return found

    def _apply(self, changed: list[_Changed], occasion: Occasion, values: Iterable[str] = ()) -> list[Transition]:
        """Clear the least important first, then raise the most important first, so that nothing is announced in vain.

        `values` are fields that the device measures besides those of its window.
        """
        order = self._book.order
        changed.sort(key=lambda one: order[one.state.rule.id])
        transitions = [
            one.state.alarm.on_clear(one.state.rule, occasion) for one in reversed(changed) if one.change is Change.CLEAR
        ]
        for one in changed:
            if one.change is Change.SET:
                state, rule = one.state, one.state.rule
                cause = Cause(one.value, self._priority(rule, values), self._suppressor(rule), state.tracker.is_held)
                transitions.append(state.alarm.on_set(rule, occasion, cause))
        transitions += self.update_suppression(occasion)
        for one in changed:
            self.drop_new(one.state.rule)
        return transitions

    def _priority(self, rule: Rule, values: Iterable[str]) -> Priority:
        other = rule.critical_fields_priority
        return other if other is not None and has_critical(self.plan, (*self.window.fields, *values)) else rule.priority

    def update_suppression(self, occasion: Occasion) -> list[Transition]:
        states = list(self.states.values())
        if len(states) > 1:
            states.sort(key=lambda one: self._book.order[one.rule.id])
        found = (one.alarm.suppress(self._suppressor(one.rule), occasion) for one in states)
        return [one for one in found if one is not None]

    def _suppressor(self, rule: Rule) -> str | None:
        """Return the rule that stands above another one. Silence never hides a critical alarm: its sensor may be burning."""
        for rule_id in rule.suppressed_by:
            if self._hides(rule_id):
                return rule_id
        if rule.field and rule.priority is not Priority.CRITICAL:
            for silence in self.plan.no_data:
                if self._hides(silence.id):
                    return silence.id
        return None

    def _hides(self, rule_id: str) -> bool:
        """Whether a rule stands and may suppress others."""
        state = self.states.get(rule_id)
        return state is not None and state.tracker.is_active and not state.alarm.is_hidden

    def records(self) -> Iterator[AlarmRecord]:
        return (one.alarm.record for one in self.states.values() if one.alarm.record is not None)

    # --- rules and memory --------------------------------------------------------------------------------------------------

    def use(self, book: RuleBook, facts: DeviceFacts, at_ms: int) -> list[Transition]:
        """Follow other rules or facts: alarms of rules that no longer apply end, votes and delays of the others begin anew."""
        self._book, self.facts, self.plan = book, facts, book.plan(self.id or "", facts)
        transitions: list[Transition] = []
        for rule_id, before in list(self.states.items()):
            rule = book.by_id.get(rule_id)
            if rule is None or (rule_id not in self.plan.ids and self.id is not None) or rule.field != before.rule.field:
                transitions += self.remove_state(before, at_ms)
            elif rule != before.rule:
                self._replace(before, rule)
        self.past.runs = {one: run for one, run in self.past.runs.items() if one in self.plan.ids}
        self.timed.clear()
        for name in self.window.fields:
            plan = self.plan.fields.get(name)
            if plan is not None and plan.span_ms:
                self._hot[name] = self.last_ms + plan.span_ms
            self.window.watch(name, None if plan else (-inf, inf))
        return transitions + self.update_suppression(self.occasion(at_ms))

    def remove_state(self, state: RuleState, at_ms: int) -> list[Transition]:
        del self.states[state.rule.id]
        removed = state.alarm.remove(self.occasion(at_ms))
        return [] if removed is None else [removed]

    def _replace(self, before: RuleState, rule: Rule) -> None:
        is_same = rule.condition == before.rule.condition and before.meter is not None
        state = self.states[rule.id] = RuleState(
            rule, self._groups, before.meter.public() if is_same and before.meter else None
        )
        state.alarm, state.tracker = before.alarm, before.tracker
        state.tracker.votes, state.tracker.set_since_ms, state.tracker.clear_since_ms = 0, None, None

    def public(self) -> dict[str, Any]:
        """Return the memory as JSON types."""
        return {
            "facts": self.facts.to_list(),
            "last": self.last_ms,
            "received": self.received_ms,
            "looked": self.looked_ms,
            "resumed": self.resumed_ms,
            "seq": self.seq,
            "attentive": self.is_attentive,
            "hot": dict(self._hot),
            "fields": self.window.public(),
            "states": {rule_id: state.public() for rule_id, state in self.states.items()},
            "health": self.health.public(),
            "past": self.past.public(),
            "lag": self.lag.public(),
        }

    @classmethod
    def restored(cls, device_id: str | None, book: RuleBook, groups: Groups, body: Mapping[str, Any]) -> "DeviceAlarms":
        """Return what `public` described. Rules that no longer exist are dropped without a transition."""
        device = cls(device_id, book, groups, DeviceFacts(*body["facts"]))
        device.last_ms, device.received_ms = body["last"], body["received"]
        device.looked_ms, device.resumed_ms = body["looked"], body["resumed"]
        device.seq, device.is_attentive = body["seq"], body["attentive"]
        device._hot = dict(body["hot"])
        device.window = DeviceWindow.restored(body["fields"])
        device.states = {
            rule_id: RuleState.restored(book.by_id[rule_id], groups, state)
            for rule_id, state in body["states"].items()
            if rule_id in book.by_id
        }
        device.health = DeviceHealth.restored(body["health"])
        device.past = PastRuns.restored(body["past"])
        device.lag = ClockLag.restored(body["lag"])
        return device


def _can_begin(rule: Rule, value: float) -> bool:
    bounds = bounds_of(rule)
    return bounds is None or not bounds[0] < value < bounds[1] or bounds == (-inf, inf)
