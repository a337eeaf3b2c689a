"""The alarms of a bridge that does not lead: what the leader's inputs were, and whether both still show the same."""

import time
from collections.abc import Awaitable, Callable, Iterable

from bridge.alarms.actions import ActionKind
from bridge.alarms.record import AlarmRecord, AlarmState
from bridge.ports import AlarmInput, AlarmStore

INPUTS_SECONDS = 1.0
COMPARE_SECONDS = 10.0
_INPUTS_LIMIT = 10_000
_OPEN_LIMIT = 100_000

AskLeader = Callable[[ActionKind, AlarmRecord, str, str | None, int | None], Awaitable[AlarmRecord]]
"""Has the leader carry out an action: kind, alarm, by whom, comment, and until when in milliseconds since the epoch.

Raises `UnknownAlarm`, `AlarmStateError`, `StoreUnavailable` and `TemporarilyUnavailable`.
"""


class LeaderFollower:
    def __init__(self, store: AlarmStore, ask: AskLeader, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._store = store
        self.ask = ask
        self._clock = clock
        self._inputs_due = 0.0
        self._compare_due = clock() + COMPARE_SECONDS
        self._has_differed = False
        self.changes = 0
        """Changes of alarms that were folded and not stored."""

    async def new_inputs(self, number: int) -> list[AlarmInput]:
        """Return the inputs after this number, once in `INPUTS_SECONDS`. Raises `StoreUnavailable`."""
        if self._clock() < self._inputs_due:
            return []
        self._inputs_due = self._clock() + INPUTS_SECONDS
        return [one for one in await self._store.inputs(_INPUTS_LIMIT) if one.number > number]

    async def differs(self, records: Iterable[AlarmRecord]) -> bool:
        """Return whether the stored open alarms are others, twice in a row: the leader stores a change a moment later.

        Looks once in `COMPARE_SECONDS`. Raises `StoreUnavailable`.
        """
        if self._clock() < self._compare_due:
            return False
        self._compare_due = self._clock() + COMPARE_SECONDS
        stored = {(one.id, one.body.get("state")) for one in await self._store.find(is_open=True, limit=_OPEN_LIMIT)}
        shown = {(one.id, one.state.value) for one in records if one.state is not AlarmState.NORMAL}
        was_different, self._has_differed = self._has_differed, stored != shown
        if was_different and self._has_differed:
            self._has_differed = False
            return True
        return False
