"""Alarms as a fold over stored readings: the same inputs in the same order give the same transitions, with the same ids.

An input is a reading (`step`), the time (`tick`), an operator's action (`operate`), or a change around the readings
(`on_status`, `on_availability`, `resume`, `set_facts`, `use_rules`, `remove`). Nothing here asks a clock. A checkpoint
(`public`) and the inputs after it give what all inputs give; a tick without transitions may be left out. Inputs other than
readings are in no log: whoever restores a checkpoint must have stored those after it too, in their order.

Delays, votes, doses and averages run in the time of the readings, which is never later than their arrival. A reading is live
if it is not retained, came at most `late_seconds` after its time, and is not older than the newest live one of its fields,
or that one is from a time which has not come yet, since the clock of the bridge was set back. Others raise nothing and are told
as past. Only silence, shelving, repetition, unavailable components and the end of what is told as past follow the ticks; each
has a due time, which is the time of its transition, however late the tick comes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from bridge.air.windows import DeviceWindow
from bridge.alarms.actions import ActionKind, OperatorAction
from bridge.alarms.conditions import Unreachable
from bridge.alarms.record import AlarmRecord, Transition
from bridge.alarms.rules import Rule
from bridge.alarms.scope import UNKNOWN_FACTS, DeviceFacts
from bridge.alarms.states.device import DeviceAlarms, RuleState
from bridge.alarms.states.lifecycle import COMMENT_LENGTH, Groups
from bridge.alarms.states.meters import DoseMeter
from bridge.alarms.states.plans import RuleBook
from bridge.alarms.states.timers import BRIDGE, Timer, TimerKind, Timers
from bridge.core.devices.device import OFFLINE
from bridge.core.errors import DAMAGED, AlarmStateError, UnknownAlarm
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading

LATE_SECONDS = 60.0


@dataclass(slots=True)
class FoldCounters:
    """Readings that were not live: `late` (or older than the newest), `retained`; `past` are those that violate a limit.

    `unwatched` are readings of devices beyond the limit.
    """

    late: int = 0
    retained: int = 0
    past: int = 0
    unwatched: int = 0


class AlarmFold:
    """The alarms of all devices and of the bridge."""

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        late_seconds: float = LATE_SECONDS,
        devices_limit: int = 100_000,
        facts: Callable[[str], DeviceFacts] = lambda _: UNKNOWN_FACTS,
    ) -> None:
        """Raise `RuleError` if the rules do not fit together. `facts` is asked when the first reading of a device comes."""
        self._facts = facts
        self.counts = FoldCounters()
        self._book = RuleBook(rules)
        self._late_ms = round(late_seconds * 1000)
        self._devices_limit = devices_limit
        self._groups = Groups()
        self._timers = Timers()
        self._devices: dict[str, DeviceAlarms] = {}
        self._with_states: dict[str, DeviceAlarms] = {}
        """The devices that may have alarms; those that have none any more are dropped as records are read."""
        self._bridge = DeviceAlarms(None, self._book, self._groups)
        self._unavailable: dict[str, int] = {}
        """Components, and since when they are unavailable."""
        self._listening_ms = 0
        """Silence is measured from this time on at the earliest: readings did not arrive before."""

    # --- readings ----------------------------------------------------------------------------------------------------------

    def step(self, reading: Reading) -> list[Transition]:
        """Take a stored reading into account."""
        device = self._devices.get(reading.device_id) or self._new(reading.device_id)
        if device is None:
            return []
        device.seq = reading.seq
        at_ms, received_ms = reading.timestamp_ms, reading.received_ms
        if at_ms > received_ms:  # a clock that is set back afterwards would make the device's readings late
            at_ms = received_ms
        if received_ms - at_ms > self._late_ms or reading.retained:
            return self._step_late(device, reading, at_ms)
        if device.lag.received_ms and device.lag.end():
            device.is_attentive = True
        if at_ms < device.last_ms and not self._is_newest(device, reading, at_ms):
            return self._step_late(device, reading, at_ms)
        if at_ms > device.last_ms:
            device.last_ms = at_ms
        device.received_ms = received_ms
        unusual = device.window.add(reading.values, at_ms, reading.quality)
        if not (unusual or reading.quality or device.is_attentive):
            return []
        transitions = device.on_reading(reading, at_ms, unusual)
        if device.states:
            self._with_states[reading.device_id] = device
            self._time_votes(device)
        self._time_silence(device)
        return transitions

    def _is_newest(self, device: DeviceAlarms, reading: Reading, at_ms: int) -> bool:
        """Whether a reading is the newest of its fields although it is not that of its device."""
        if device.last_ms - reading.received_ms > self._late_ms:
            self._listening_ms = min(self._listening_ms, reading.received_ms)
            device.set_back()
            return True
        return device.window.is_newest(reading.values, at_ms)

    def _note_states(self, device: DeviceAlarms) -> None:
        if device.states and device.id is not None:
            self._with_states[device.id] = device

    def _new(self, device_id: str) -> DeviceAlarms | None:
        if self.is_full:
            self.counts.unwatched += 1
            return None
        device = self._devices[device_id] = DeviceAlarms(device_id, self._book, self._groups, self._facts(device_id))
        self._time_silence(device)
        return device

    def _step_late(self, device: DeviceAlarms, reading: Reading, at_ms: int) -> list[Transition]:
        if reading.retained:
            self.counts.retained += 1
        else:
            self.counts.late += 1
            device.received_ms = reading.received_ms
            if reading.received_ms - at_ms > self._late_ms and device.lag.add(at_ms, reading.received_ms):
                device.is_attentive = True
        if not (device.past.runs or reading.quality or device.is_attentive or device.plan.may_tell_of(reading.values)):
            return []
        is_beyond, transitions = device.on_late(reading, at_ms)
        if device.states:
            self._with_states[reading.device_id] = device
            self._time_votes(device)
        if is_beyond:
            self.counts.past += 1
            for rule_id, run in device.past.runs.items():
                if run.readings == 1:
                    self._timers.set(Timer(run.due_ms, reading.device_id, TimerKind.PAST, rule_id))
        self._time_silence(device)
        return transitions

    def _time_votes(self, device: DeviceAlarms) -> None:
        for rule_id, state in device.states.items():
            if (due_ms := state.tracker.confirm_ms) is not None:
                self._timers.set(Timer(due_ms, device.id or BRIDGE, TimerKind.CONFIRM, rule_id))

    def _time_silence(self, device: DeviceAlarms) -> None:
        """Set a timer unless an earlier one runs, which looks again when it is due."""
        for rule in device.plan.no_data:
            if not self._is_standing(device, rule):
                due_ms = device.silent_from_ms(rule, self._listening_ms)
                if due_ms is not None and not device.timed.get(rule.id, due_ms + 1) <= due_ms:
                    device.timed[rule.id] = due_ms
                    self._timers.set(Timer(due_ms, device.id or BRIDGE, TimerKind.SILENCE, rule.id))

    @staticmethod
    def _is_standing(device: DeviceAlarms, rule: Rule) -> bool:
        state = device.states.get(rule.id)
        return state is not None and state.tracker.is_active

    # --- time --------------------------------------------------------------------------------------------------------------

    @property
    def due_ms(self) -> float:
        """When something is due next; infinite if nothing is."""
        return self._timers.due_ms

    def tick(self, now_ms: int) -> list[Transition]:
        """Let time pass, by the clock of the bridge. It must not pass the arrival of a reading that has not been folded."""
        transitions: list[Transition] = []
        while (timer := self._timers.pop(now_ms)) is not None:
            device = self._bridge if timer.device == BRIDGE else self._devices.get(timer.device)
            if device is not None:
                transitions += self._on_timer(device, timer)
        return transitions

    def _on_timer(self, device: DeviceAlarms, timer: Timer) -> list[Transition]:
        if timer.kind is TimerKind.PAST:
            return self._end_past(device, timer)
        rule = self._book.by_id.get(timer.rule)
        if rule is None:
            return []
        if timer.kind is TimerKind.SILENCE:
            return self._on_silence(device, rule, timer)
        if timer.kind is TimerKind.UNAVAILABLE:
            return self._on_unavailable(rule, timer.due_ms)
        if timer.kind is TimerKind.CONFIRM:
            return device.confirm(rule, timer.due_ms)
        state = device.states.get(rule.id)
        return [] if state is None else self._on_alarm_timer(device, state, timer)

    def _on_alarm_timer(self, device: DeviceAlarms, state: RuleState, timer: Timer) -> list[Transition]:
        alarm, occasion = state.alarm, device.occasion(timer.due_ms)
        if timer.kind is TimerKind.REPEAT:
            repeated = alarm.repeat(occasion) if alarm.repeat_ms == timer.due_ms else None
            return [] if repeated is None else [repeated]
        if alarm.record is None or alarm.record.shelved_until_ms != timer.due_ms:
            return []
        transitions = [alarm.unshelve(occasion, by=None), *device.update_suppression(occasion)]
        device.drop_new(state.rule)
        return transitions

    def _end_past(self, device: DeviceAlarms, timer: Timer) -> list[Transition]:
        run, rule = device.past.runs.get(timer.rule), self._book.by_id.get(timer.rule)
        if run is None or rule is None:
            return []
        if run.due_ms > timer.due_ms:
            self._timers.set(timer._replace(due_ms=run.due_ms))
            return []
        return device.past.tell(rule, device.id or "", device.facts)

    def _on_silence(self, device: DeviceAlarms, rule: Rule, timer: Timer) -> list[Transition]:
        if device.timed.get(rule.id) != timer.due_ms:
            return []
        del device.timed[rule.id]
        if self._unavailable or rule.id not in device.plan.ids or self._is_standing(device, rule):
            return []
        due_ms = device.silent_from_ms(rule, self._listening_ms)
        if due_ms is None:
            return []
        if due_ms > timer.due_ms:
            self._time_silence(device)
            return []
        if not device.is_regular:  # checked again, ever more rarely: only more readings make it regular
            device.timed[rule.id] = later_ms = 2 * timer.due_ms - min(device.received_ms, timer.due_ms - 1)
            self._timers.set(timer._replace(due_ms=later_ms))
            return []
        transitions = device.stand(rule, due_ms)
        self._note_states(device)
        return transitions

    def _on_unavailable(self, rule: Rule, due_ms: int) -> list[Transition]:
        condition = rule.condition
        since_ms = self._unavailable.get(condition.component) if isinstance(condition, Unreachable) else None
        if since_ms is None or due_ms != _unavailable_due(rule, since_ms):
            return []
        return self._bridge.stand(rule, due_ms)

    # --- around the readings -----------------------------------------------------------------------------------------------

    def on_status(self, status: DeviceStatus) -> list[Transition]:
        """Take a device's status into account: its last will begins a silence, and a reading ends it.

        One that is inferred from silence does not, nor one that the broker kept, which may be older than the last reading:
        silence is measured here, by the rules, and not while the broker is down.
        """
        device = self._devices.get(status.device_id)
        if device is None or status.status != OFFLINE or status.is_inferred or status.is_retained:
            return []
        transitions = [one for rule in device.plan.no_data for one in device.stand(rule, status.timestamp_ms)]
        self._note_states(device)
        return transitions

    def on_availability(self, component: str, at_ms: int, *, is_available: bool) -> list[Transition]:
        """Take into account that the store or the broker is unavailable, or available again."""
        rules = [rule for rule in self._book.unavailable if _component(rule) == component]
        if is_available:
            if self._unavailable.pop(component, None) is not None:
                self.resume(at_ms)
            return [one for rule in rules for one in self._bridge.end(rule, at_ms)]
        since_ms = self._unavailable.setdefault(component, at_ms)
        for rule in rules:
            self._timers.set(Timer(_unavailable_due(rule, since_ms), BRIDGE, TimerKind.UNAVAILABLE, rule.id))
        return []

    def resume(self, at_ms: int) -> None:
        """Measure silence from now on: no readings could arrive before."""
        self._listening_ms = at_ms
        for device in self._devices.values():
            device.timed.clear()
            self._time_silence(device)

    def set_facts(self, device_id: str, facts: DeviceFacts, at_ms: int) -> list[Transition]:
        """Follow what the registry says of a device."""
        device = self._devices.get(device_id) or self._new(device_id)
        if device is None or device.facts == facts:
            return []
        transitions = device.use(self._book, facts, at_ms)
        self._time_silence(device)
        return transitions

    def use_rules(self, rules: Iterable[Rule], at_ms: int) -> list[Transition]:
        """Follow other rules from now on. Raises `RuleError` before anything has changed."""
        self._book = RuleBook(rules)
        transitions = self._bridge.use(self._book, UNKNOWN_FACTS, at_ms)
        for device in self._devices.values():
            transitions += device.use(self._book, device.facts, at_ms)
            self._time_silence(device)
        return transitions

    def remove(self, device_id: str, at_ms: int) -> list[Transition]:
        """Forget a device; its alarms end."""
        device = self._devices.pop(device_id, None)
        self._with_states.pop(device_id, None)
        if device is None:
            return []
        return [one for state in list(device.states.values()) for one in device.remove_state(state, at_ms)]

    # --- operators ---------------------------------------------------------------------------------------------------------

    def operate(self, action: OperatorAction) -> list[Transition]:
        """Carry out an operator's action. Raises `UnknownAlarm`, or `AlarmStateError` if the state does not allow it."""
        device = self._bridge if action.device_id is None else self._devices.get(action.device_id)
        rule = self._book.by_id.get(action.rule)
        if device is None or rule is None or not self._applies(device, rule):
            raise UnknownAlarm(f"no rule {action.rule!r} applies to {action.device_id or 'the bridge'}")
        if action.comment is not None and len(action.comment) > COMMENT_LENGTH:
            raise AlarmStateError(f"comment has {len(action.comment)} characters: must have at most {COMMENT_LENGTH}")
        try:
            return self._operate(device, device.state_of(rule), action)
        finally:
            device.drop_new(rule)
            self._note_states(device)

    def _applies(self, device: DeviceAlarms, rule: Rule) -> bool:
        return rule.id in device.plan.ids if device.id is not None else rule in self._book.unavailable

    def _operate(self, device: DeviceAlarms, state: RuleState, action: OperatorAction) -> list[Transition]:
        alarm, rule, by, comment = state.alarm, state.rule, action.by, action.comment
        occasion, key = device.occasion(action.at_ms), device.id or BRIDGE
        match action.kind:
            case ActionKind.ACKNOWLEDGE:
                done = alarm.acknowledge(rule, occasion, by, comment)
                if alarm.repeat_ms is not None:
                    self._timers.set(Timer(alarm.repeat_ms, key, TimerKind.REPEAT, rule.id))
            case ActionKind.RESET:
                done = alarm.reset(occasion, by, comment)
            case ActionKind.SHELVE:
                if action.until_ms is None:
                    raise AlarmStateError("shelving has no end: must have `until`")
                done = alarm.shelve(rule, occasion, action.until_ms, by, comment)
                self._timers.set(Timer(action.until_ms, key, TimerKind.SHELVING, rule.id))
            case ActionKind.UNSHELVE:
                done = alarm.unshelve(occasion, by, comment)
            case ActionKind.OUT_OF_SERVICE:
                done = alarm.take_out_of_service(rule, occasion, by, comment)
            case ActionKind.IN_SERVICE:
                done = alarm.return_to_service(occasion, by, comment)
        return [done, *device.update_suppression(occasion)]

    # --- what it knows -----------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force, each after those that suppress it."""
        return self._book.rules

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    @property
    def is_full(self) -> bool:
        """Whether further devices are counted only."""
        return len(self._devices) >= self._devices_limit

    def device_ids(self) -> list[str]:
        """Return the ids of the devices that have been measured, sorted."""
        return sorted(self._devices)

    def seq(self, device_id: str) -> int:
        """Return the cursor of the last reading of a device; 0 if there is none."""
        device = self._devices.get(device_id)
        return 0 if device is None else device.seq

    def window(self, device_id: str) -> DeviceWindow | None:
        """Return what the live readings of a device say; it must not be changed."""
        device = self._devices.get(device_id)
        return None if device is None else device.window

    def co_dose(self, device_id: str) -> DoseMeter | None:
        """Return the dose of carbon monoxide at a device; None if no rule counts one, or there is none."""
        device = self._devices.get(device_id)
        return None if device is None else device.co_dose

    def records(self) -> Iterator[AlarmRecord]:
        """Yield the alarms that are not normal, and those that are shelved or out of service."""
        yield from self._bridge.records()
        for device_id, device in list(self._with_states.items()):
            if device.states:
                yield from device.records()
            else:
                self._with_states.pop(device_id, None)

    def device_body(self, device_id: str) -> dict[str, Any]:
        """Return the memory of one device as JSON types; raises `KeyError` if there is none."""
        return self._devices[device_id].public()

    def common_body(self) -> dict[str, Any]:
        """Return the memory that is of no device, as JSON types."""
        return {
            "bridge": self._bridge.public(),
            "unavailable": dict(self._unavailable),
            "listening": self._listening_ms,
            "counts": asdict(self.counts),
        }

    def public(self) -> dict[str, Any]:
        """Return the whole memory as JSON types, for a checkpoint."""
        return {"common": self.common_body(), "devices": {one: device.public() for one, device in self._devices.items()}}

    @classmethod
    def restored(
        cls,
        rules: Iterable[Rule],
        body: Mapping[str, Any],
        *,
        late_seconds: float = LATE_SECONDS,
        devices_limit: int = 100_000,
        facts: Callable[[str], DeviceFacts] = lambda _: UNKNOWN_FACTS,
        on_damaged: Callable[[str, Exception], None] | None = None,
    ) -> Self:
        """Return the fold that `public` described; with the same rules it goes on as that one.

        A device whose state is damaged is given to `on_damaged` and begins without a past; without it the error is raised.
        """
        fold = cls(rules, late_seconds=late_seconds, devices_limit=devices_limit, facts=facts)
        common = body["common"]
        fold._bridge = DeviceAlarms.restored(None, fold._book, fold._groups, common["bridge"])
        fold._unavailable, fold._listening_ms = dict(common["unavailable"]), common["listening"]
        fold.counts = FoldCounters(**common["counts"])
        for device_id, device in body["devices"].items():
            try:
                fold._devices[device_id] = DeviceAlarms.restored(device_id, fold._book, fold._groups, device)
            except DAMAGED as error:
                if on_damaged is None:
                    raise
                on_damaged(device_id, error)
        for device in fold._devices.values():
            fold._note_states(device)
        fold._restore_timers()
        return fold

    def _restore_timers(self) -> None:
        for rule in self._book.unavailable:
            if (since_ms := self._unavailable.get(_component(rule))) is not None:
                self._timers.set(Timer(_unavailable_due(rule, since_ms), BRIDGE, TimerKind.UNAVAILABLE, rule.id))
        for device in (self._bridge, *self._devices.values()):
            key = device.id or BRIDGE
            for rule_id, state in device.states.items():
                record, repeat_ms = state.alarm.record, state.alarm.repeat_ms
                if repeat_ms is not None:
                    self._timers.set(Timer(repeat_ms, key, TimerKind.REPEAT, rule_id))
                if record is not None and record.shelved_until_ms is not None:
                    self._timers.set(Timer(record.shelved_until_ms, key, TimerKind.SHELVING, rule_id))
            self._time_votes(device)
            for rule_id, run in device.past.runs.items():
                self._timers.set(Timer(run.due_ms, key, TimerKind.PAST, rule_id))
            self._time_silence(device)


def _component(rule: Rule) -> str:
    return rule.condition.component if isinstance(rule.condition, Unreachable) else ""


def _unavailable_due(rule: Rule, since_ms: int) -> int:
    seconds = rule.condition.seconds if isinstance(rule.condition, Unreachable) else 0.0
    return since_ms + round(seconds * 1000)
