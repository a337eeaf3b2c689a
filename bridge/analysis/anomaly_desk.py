"""Reads stored anomalies and marks them as wrong, for the API of any bridge of a cluster."""

import asyncio
import time
from collections.abc import Callable

from bridge.analysis.anomaly.changes import AnomalyRecord, AnomalyState
from bridge.analysis.anomaly.record import AnomalyKind
from bridge.analysis.anomaly_inputs import ask_for_mark
from bridge.analysis.anomaly_journal import anomalies_of
from bridge.core.access.permissions import Identity
from bridge.core.errors import AlarmStateError, TemporarilyUnavailable
from bridge.ports import AlarmStore, AuditLog

MARK_SECONDS = 5.0
"""How long a request waits until the bridge that leads has applied a mark."""

_LOOK_SECONDS = 0.2
_WAITING_READ = 10_000


class AnomalyDesk:
    def __init__(
        self,
        store: AlarmStore,
        audit: AuditLog | None,
        *,
        is_enabled: bool,
        mark_seconds: float = MARK_SECONDS,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`audit` is None while access is open; `clock` gives milliseconds since the epoch."""
        self._store = store
        self._audit = audit
        self._is_enabled = is_enabled
        self._mark_seconds = mark_seconds
        self._clock = clock

    async def page(
        self, *, device_id: str | None, kind: AnomalyKind | None, state: AnomalyState | None, before: str | None, limit: int
    ) -> tuple[list[AnomalyRecord], str | None]:
        """Return those of the next `limit` anomalies that are in this state, the one detected last first.

        And the id to give as `before` for the next page; None after the last one. Raises `StoreUnavailable`.
        """
        is_open = None if state is None else state is AnomalyState.STANDING
        stored = await self._store.find(
            device_id=device_id, rule=None if kind is None else kind.value, is_open=is_open, before=before, limit=limit
        )
        found = [one for one in anomalies_of(stored) if state in (None, one.state)]
        return found, stored[-1].id if len(stored) == limit else None

    async def get(self, anomaly_id: str) -> AnomalyRecord | None:
        """Raises `StoreUnavailable`."""
        stored = await self._store.get(anomaly_id)
        return None if stored is None else next(iter(anomalies_of([stored])), None)

    async def mark_wrong(self, record: AnomalyRecord, actor: Identity, address: str, comment: str | None) -> AnomalyRecord:
        """Have an anomaly marked as wrong, and return it as it is stored then. One that is marked already stays as it is.

        Raises `AlarmStateError` if it is too old, `StoreUnavailable`, and `TemporarilyUnavailable` if no bridge has applied it
        in time: it stays stored, and is applied later.
        """
        if record.state is AnomalyState.WRONG:
            return record
        if not self._is_enabled:
            raise AlarmStateError("analysis.anomalies is off: anomalies cannot be marked")
        body = {
            "device": record.device_id,
            "anomaly": record.id,
            "by": actor.name or actor.kind.value,
            "at": self._clock(),
            "comment": comment,
        }
        number = await ask_for_mark(self._store, body, self._clock)
        if self._audit is not None:
            target = f"{record.device_id} {record.anomaly.kind.value}"
            self._audit.record("anomaly wrong", actor=actor, address=address, target=target)
        try:
            async with asyncio.timeout(self._mark_seconds):
                return await self._marked(record, number)
        except TimeoutError:
            raise TemporarilyUnavailable(
                "the mark is stored, and will be applied: the bridge that leads has not done so yet"
            ) from None

    async def _marked(self, record: AnomalyRecord, number: int) -> AnomalyRecord:
        while True:
            is_waiting = any(one.number == number for one in await self._store.inputs(_WAITING_READ))
            found = await self.get(record.id)
            if found is not None and found.state is AnomalyState.WRONG:
                return found
            if not is_waiting:
                raise AlarmStateError("too old: of each device, the last 16 that have ended can be marked as wrong")
            await asyncio.sleep(_LOOK_SECONDS)
