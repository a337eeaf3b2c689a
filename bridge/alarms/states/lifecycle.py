"""The life of an alarm, from raised to normal, after ISA-18.2 and IEC 62682."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from bridge.alarms.record import (
    AlarmRecord,
    AlarmState,
    Past,
    Peak,
    Transition,
    TransitionKind,
    alarm_from_document,
    timed_identifier,
)
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.scope import DeviceFacts
from bridge.core.errors import AlarmStateError
from bridge.core.timestamp import iso

HOUR_MS = 3_600_000
REPEAT_MS: Mapping[Priority, int] = {one: (1 if one is Priority.CRITICAL else 8) * HOUR_MS for one in Priority}
"""How long after its acknowledgement an alarm that is still active is unacknowledged again."""

SHELVE_LIMIT_MS: Mapping[Priority, int] = {one: (8 if one is Priority.CRITICAL else 7 * 24) * HOUR_MS for one in Priority}
COMMENT_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Occasion:
    """Where and when something happens. `device_id` is None for the bridge; `reading` and `seq` are of the newest reading."""

    device_id: str | None
    facts: DeviceFacts
    at_ms: int
    seq: int = 0
    reading: str | None = None

    @property
    def place(self) -> str:
        return ", ".join(one for one in (self.facts.room, self.facts.site) if one) or self.device_id or "the bridge"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an alarm is raised, and under which circumstances."""

    value: float | bool | None
    priority: Priority
    suppressed_by: str | None = None
    is_held: bool = False


class Groups:
    """Alarms of one rule at one site that stand together; the group has the id of its first alarm."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str | None], tuple[str, int]] = {}

    def join(self, rule: str, site: str | None, alarm_id: str) -> str:
        group, number = self._groups.get((rule, site), (alarm_id, 0))
        self._groups[rule, site] = group, number + 1
        return group

    def leave(self, rule: str, site: str | None) -> None:
        group, number = self._groups[rule, site]
        if number > 1:
            self._groups[rule, site] = group, number - 1
        else:
            del self._groups[rule, site]

    def rejoin(self, record: AlarmRecord) -> None:
        """Count an alarm of a checkpoint."""
        self.join(record.rule, record.site, record.group or record.id)


class Alarm:
    """The alarm of one rule at one device. `record` is None in the state normal, unless it is shelved or out of service."""

    __slots__ = ("_groups", "record", "repeat_ms")

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self.record: AlarmRecord | None = None
        self.repeat_ms: int | None = None
        """When it is unacknowledged again if it is still active."""

    @property
    def is_open(self) -> bool:
        return self.record is not None and self.record.state is not AlarmState.NORMAL

    @property
    def is_hidden(self) -> bool:
        """Whether an operator has shelved it or taken it out of service."""
        return self.record is not None and (self.record.shelved_until_ms is not None or self.record.out_of_service)

    # --- what the condition does -------------------------------------------------------------------------------------------

    def on_set(self, rule: Rule, occasion: Occasion, cause: Cause) -> Transition:
        """Raise a new alarm, or the one that is still open, which tells of the new value then."""
        value = cause.value
        if value is not None:
            self.on_value(rule, value, occasion.at_ms)
        before = self.record
        if before is not None and before.state is not AlarmState.NORMAL:
            message, advice = rule.texts(value, occasion.place)
            record = replace(
                before,
                state=AlarmState.UNACKNOWLEDGED,
                value=value,
                message=message,
                advice=advice,
                suppressed_by=cause.suppressed_by,
                cleared_ms=None,
                acknowledged_ms=None,
            )
            return self._become(TransitionKind.RAISED, occasion, record, is_held=cause.is_held)
        alarm_id = timed_identifier(occasion.at_ms, occasion.device_id, rule.id, occasion.seq)
        group = self._groups.join(rule.id, occasion.facts.site, alarm_id)
        self.record = _new_record(
            rule,
            occasion,
            alarm_id,
            value,
            cause.priority,
            state=AlarmState.UNACKNOWLEDGED,
            peak=None if value is None else Peak(value, occasion.at_ms),
            raised_ms=occasion.at_ms,
            shelved_until_ms=None if before is None else before.shelved_until_ms,
            suppressed_by=cause.suppressed_by,
            out_of_service=before is not None and before.out_of_service,
            first=group == alarm_id,
            group=group,
        )
        return self._transition(TransitionKind.RAISED, self.record, occasion, is_held=cause.is_held, is_new=True)

    def on_value(self, rule: Rule, value: float, at_ms: int) -> None:
        """Take a value of an active alarm into account for its peak."""
        record, level = self.record, rule.past_level
        if record is None or record.peak is None:
            return
        worst = record.peak.value
        if (level.excess(value) > level.excess(worst)) if level else value > worst:
            self.record = replace(record, peak=Peak(value, at_ms))

    def on_clear(self, rule: Rule, occasion: Occasion) -> Transition:
        record = self._opened()
        if record.state is AlarmState.ACKNOWLEDGED:
            state = AlarmState.LATCHED if rule.latched else AlarmState.NORMAL
        else:
            state = AlarmState.NORMAL if record.is_quiet and not rule.latched else AlarmState.RETURNED
        cleared = replace(record, state=state, cleared_ms=occasion.at_ms, suppressed_by=None)
        return self._become(TransitionKind.CLEARED, occasion, cleared)

    def suppress(self, by: str | None, occasion: Occasion) -> Transition | None:
        """Hide it while the rule `by` stands, or show it again (None)."""
        record = self.record
        if record is None or not record.is_active or record.suppressed_by == by:
            return None
        if by is None and self.repeat_ms is not None and self.repeat_ms <= occasion.at_ms:
            record = self._anew(record)
        kind = TransitionKind.SUPPRESSED if by else TransitionKind.UNSUPPRESSED
        return self._become(kind, occasion, replace(record, suppressed_by=by))

    # --- what time does ----------------------------------------------------------------------------------------------------

    def repeat(self, occasion: Occasion) -> Transition | None:
        """Make it unacknowledged again, unless it is quiet: it is then announced anew when that ends."""
        if self.record is None or self.record.state is not AlarmState.ACKNOWLEDGED or self.record.is_quiet:
            return None
        return self._become(TransitionKind.REPEATED, occasion, self._anew(self.record))

    # --- what operators do -------------------------------------------------------------------------------------------------

    def acknowledge(self, rule: Rule, occasion: Occasion, by: str, comment: str | None) -> Transition:
        record = self._opened()
        if record.state is AlarmState.UNACKNOWLEDGED:
            state = AlarmState.ACKNOWLEDGED
        elif record.state is AlarmState.RETURNED:
            state = AlarmState.LATCHED if rule.latched else AlarmState.NORMAL
        else:
            raise AlarmStateError(f"alarm {record.id} is {record.state}: only an unacknowledged one can be acknowledged")
        acknowledged = replace(
            record,
            state=state,
            acknowledged_ms=occasion.at_ms,
            acknowledged_by=by,
            comment=record.comment if comment is None else comment,
        )
        transition = self._become(TransitionKind.ACKNOWLEDGED, occasion, acknowledged, by, comment)
        if state is AlarmState.ACKNOWLEDGED:
            self.repeat_ms = occasion.at_ms + REPEAT_MS[record.priority]
        return transition

    def reset(self, occasion: Occasion, by: str, comment: str | None) -> Transition:
        record = self._opened()
        if record.state is not AlarmState.LATCHED:
            raise AlarmStateError(f"alarm {record.id} is {record.state}: only a latched one can be reset, once acknowledged")
        return self._become(TransitionKind.RESET, occasion, replace(record, state=AlarmState.NORMAL), by, comment)

    def shelve(self, rule: Rule, occasion: Occasion, until_ms: int, by: str, comment: str | None) -> Transition:
        """Hide it until a time; also in the state normal."""
        priority = rule.priority if self.record is None else self.record.priority
        latest_ms = occasion.at_ms + SHELVE_LIMIT_MS[priority]
        if not occasion.at_ms < until_ms <= latest_ms:
            raise AlarmStateError(
                f"shelved until {iso(until_ms)}: a {priority} alarm must be shelved for at most "
                f"{SHELVE_LIMIT_MS[priority] // HOUR_MS} hours, until {iso(latest_ms)}"
            )
        shelved = replace(self._any_record(rule, occasion), shelved_until_ms=until_ms)
        return self._become(TransitionKind.SHELVED, occasion, shelved, by, comment)

    def unshelve(self, occasion: Occasion, by: str | None, comment: str | None = None) -> Transition:
        """Show it again; if it is active, it is announced anew."""
        record = self.record
        if record is None or record.shelved_until_ms is None:
            raise AlarmStateError("the alarm is not shelved: only a shelved one can be unshelved")
        shown = replace(self._anew(record), shelved_until_ms=None)
        return self._become(TransitionKind.UNSHELVED, occasion, shown, by, comment)

    def take_out_of_service(self, rule: Rule, occasion: Occasion, by: str, comment: str | None) -> Transition:
        if self.record is not None and self.record.out_of_service:
            raise AlarmStateError("the alarm is out of service already")
        hidden = replace(self._any_record(rule, occasion), out_of_service=True)
        return self._become(TransitionKind.OUT_OF_SERVICE, occasion, hidden, by, comment)

    def return_to_service(self, occasion: Occasion, by: str, comment: str | None) -> Transition:
        record = self.record
        if record is None or not record.out_of_service:
            raise AlarmStateError("the alarm is in service: only one that is out of service can be returned to it")
        shown = replace(self._anew(record), out_of_service=False)
        return self._become(TransitionKind.IN_SERVICE, occasion, shown, by, comment)

    def remove(self, occasion: Occasion) -> Transition | None:
        """End it, because its device or rule is gone."""
        if self.record is None:
            return None
        removed = replace(self.record, state=AlarmState.NORMAL, shelved_until_ms=None, suppressed_by=None, out_of_service=False)
        return self._become(TransitionKind.REMOVED, occasion, removed)

    # --- changes -----------------------------------------------------------------------------------------------------------

    def _opened(self) -> AlarmRecord:
        if self.record is None or self.record.state is AlarmState.NORMAL:
            raise AlarmStateError("there is no alarm: the state is normal")
        return self.record

    def _any_record(self, rule: Rule, occasion: Occasion) -> AlarmRecord:
        """Return the record, or one in the state normal."""
        return self.record or _new_record(rule, occasion, timed_identifier(0, occasion.device_id, rule.id), None, rule.priority)

    @staticmethod
    def _anew(record: AlarmRecord) -> AlarmRecord:
        """Return the record unacknowledged, if it is active."""
        return replace(record, state=AlarmState.UNACKNOWLEDGED, acknowledged_ms=None) if record.is_active else record

    def _become(
        self,
        kind: TransitionKind,
        occasion: Occasion,
        record: AlarmRecord,
        by: str | None = None,
        comment: str | None = None,
        *,
        is_held: bool = False,
    ) -> Transition:
        was_open, self.record = self.is_open, record
        if record.state is not AlarmState.ACKNOWLEDGED:
            self.repeat_ms = None
        if record.state is AlarmState.NORMAL:
            if was_open:
                self._groups.leave(record.rule, record.site)
            if not self.is_hidden:
                self.record = None
        return self._transition(kind, record, occasion, by, comment, is_held=is_held)

    @staticmethod
    def _transition(
        kind: TransitionKind,
        record: AlarmRecord,
        occasion: Occasion,
        by: str | None = None,
        comment: str | None = None,
        *,
        is_held: bool,
        is_new: bool = False,
    ) -> Transition:
        key = timed_identifier(occasion.at_ms, record.id, kind, occasion.seq)
        return Transition(key, kind, occasion.at_ms, record, by, comment, is_held, is_new)

    def public(self) -> dict[str, Any]:
        return {"record": self.record and self.record.to_document(), "repeatAt": self.repeat_ms}

    @classmethod
    def restored(cls, groups: Groups, body: Mapping[str, Any]) -> Self:
        alarm = cls(groups)
        if body["record"] is not None:
            alarm.record = alarm_from_document(body["record"])
        alarm.repeat_ms = body["repeatAt"]
        if alarm.is_open and alarm.record is not None:
            groups.rejoin(alarm.record)
        return alarm


def _new_record(
    rule: Rule,
    occasion: Occasion,
    alarm_id: str,
    value: float | bool | None,
    priority: Priority,
    *,
    state: AlarmState = AlarmState.NORMAL,
    **fields: Any,  # noqa: ANN401
) -> AlarmRecord:
    """Return a record of a rule at a device, with further `fields`. Built at once: `replace` takes as long again."""
    message, advice = rule.texts(value, occasion.place)
    return AlarmRecord(
        id=alarm_id,
        rule=rule.id,
        device_id=occasion.device_id,
        site=occasion.facts.site,
        room=occasion.facts.room,
        field=rule.field,
        priority=priority,
        state=state,
        latched=rule.latched,
        value=value,
        unit=rule.unit,
        limit=rule.limit,
        standard=None if rule.standard is None else rule.standard.key,
        indicative=rule.indicative,
        message=message,
        advice=advice,
        reading=occasion.reading,
        seq=occasion.seq,
        **fields,
    )


def past_record(rule: Rule, occasion: Occasion, from_ms: int, worst: Peak, past: Past) -> AlarmRecord:
    """Return the record of a violation that is over when it becomes known; it never was an alarm."""
    alarm_id = timed_identifier(from_ms, occasion.device_id, rule.id, occasion.seq, "past")
    value, cleared_ms = worst.value, occasion.at_ms
    return _new_record(
        rule, occasion, alarm_id, value, rule.priority, peak=worst, raised_ms=from_ms, cleared_ms=cleared_ms, past=past
    )
