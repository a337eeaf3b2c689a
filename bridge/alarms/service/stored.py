"""What the store has of alarms, read so that one damaged document neither stops a bridge nor hides the others."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from bridge.alarms.actions import ActionKind
from bridge.alarms.record import AlarmRecord, Transition, alarm_from_document, transition_from_document
from bridge.core.errors import DAMAGED
from bridge.core.timestamp import iso
from bridge.ports import AlarmInput, StoredAlarm, StoredTransition

log = logging.getLogger(__name__)

T = TypeVar("T")

_NAMED_LIMIT = 100


class StoredAlarmReader:
    """Leaves out what is damaged, and names each document in the log once."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def alarm(self, stored: StoredAlarm | None) -> AlarmRecord | None:
        """Return the record of an alarm; None without one, and for one that is damaged."""
        return None if stored is None else self._read(f"alarm {stored.id!r}", lambda: _checked(stored.body))

    def alarms(self, found: Iterable[StoredAlarm]) -> list[AlarmRecord]:
        return [record for one in found if (record := self.alarm(one)) is not None]

    def transitions(self, found: Iterable[StoredTransition]) -> list[Transition]:
        read = (self._read(f"transition {one.id!r}", lambda one=one: _checked_transition(one.body)) for one in found)  # type: ignore[misc]
        return [one for one in read if one is not None]

    def inputs(self, found: Iterable[AlarmInput]) -> list[AlarmInput]:
        return [one for one in found if self._read(f"input {one.number}", lambda one=one: _is_input(one.body))]  # type: ignore[misc]

    def leave_out(self, what: str, error: Exception) -> None:
        """Name what is damaged."""
        if what not in self._named and len(self._named) < _NAMED_LIMIT:
            self._named.add(what)
            log.error(
                "alarms: stored %s is damaged (%s) and left out: restore it from a backup, or delete it",
                what,
                type(error).__name__,
            )

    def _read(self, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except DAMAGED as error:
            self.leave_out(what, error)
            return None


def _checked(body: Mapping[str, Any]) -> AlarmRecord:
    """Return a record that can be shown. Raises one of `DAMAGED`."""
    record = alarm_from_document(body)
    record.public()
    texts: list[object] = [record.id, record.rule, record.device_id or ""]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("id, rule and device of an alarm are texts")
    return record


def _checked_transition(body: Mapping[str, Any]) -> Transition:
    transition = transition_from_document(body)
    _checked(body["record"])
    transition.public()
    return transition


def _is_input(body: Mapping[str, Any]) -> bool:
    """Return True for an input that can be applied. Raises one of `DAMAGED`."""
    iso(body["at"])
    if type(body["after"]) is not int:
        raise TypeError("the cursor of an input is a number")
    if body["kind"] == "status":
        return isinstance(body["device"], str) and isinstance(body["status"], str)
    ActionKind(body["kind"])
    texts = body["rule"], body["by"]
    return all(isinstance(one, str) for one in texts) and {"device", "comment", "until"} <= body.keys()
