"""The audit log: events are recorded at once and written every second. Equal events of that second are one record, counted.

An unauthenticated client can be refused any number of times, so its refusals are limited to two records a minute for each
address and kind: the first at once, and one for all others when the minute is over.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from bson.objectid import ObjectId

from bridge.core.access.audit import REFUSED, AuditEvent
from bridge.core.access.permissions import NOBODY, Identity
from bridge.core.errors import StoreError
from bridge.core.rate_limit_key import rate_limit_key
from bridge.ports import AuditStore

log = logging.getLogger(__name__)

WAITING_LIMIT = 10_000
SOURCES_LIMIT = 1000
"""Addresses and kinds of refusal counted separately within a minute. Further ones are counted together, without an address."""

_UNAUTHENTICATED_LIMIT = WAITING_LIMIT // 2  # the other half is kept for authenticated clients while the store is unavailable
_MINUTE_SECONDS = 60
_BATCH = 500
_TEXT_LENGTH = 200
_MORE = ", …"


class AuditTrail:
    """Events that wait for the store."""

    def __init__(self, store: AuditStore, *, enabled: bool = True, clock: Callable[[], float] = time.time) -> None:
        """Not `enabled` while access is open, since clients are not identified then."""
        self._store = store
        self._enabled = enabled
        self._clock = clock
        self._waiting: dict[tuple[object, ...], AuditEvent] = {}
        self._minute = 0
        self._unauthenticated: dict[tuple[object, ...], AuditEvent | None] = {}
        """The refusals of this minute after the first."""
        self.lost = 0
        """Events dropped because too many waited for the store, or because the store refused them."""

    @property
    def waiting(self) -> int:
        return len(self._waiting) + sum(event is not None for event in self._unauthenticated.values())

    def record(self, action: str, *, actor: Identity, address: str = "", target: str = "", **details: str) -> None:
        """Record an action or a refusal. Never blocks or raises."""
        if not self._enabled:
            return
        details = {name: _short(text) for name, text in details.items()}
        name, target, address = _short(actor.name), _short(target), _short(address)
        if actor == NOBODY:
            self._record_unauthenticated(action, rate_limit_key(address), target, details)
            return
        key = (action, actor.kind, name, address, target, *details.items())
        before = self._waiting.get(key)
        event = (
            self._event(action, actor, address, target, details) if before is None else replace(before, count=before.count + 1)
        )
        self._put(key, event, WAITING_LIMIT)

    def _record_unauthenticated(self, action: str, source: str, target: str, details: dict[str, str]) -> None:
        self._begin_minute()
        kind = (action, "" if action == REFUSED else target, *details.items())
        if (source, *kind) not in self._unauthenticated and len(self._unauthenticated) >= SOURCES_LIMIT:
            source = ""
        key = (source, *kind)
        before = self._waiting.get(key) or self._unauthenticated.get(key)
        event = self._event(action, NOBODY, source, target, details) if before is None else _repeated(before, target)
        if key in self._unauthenticated and key not in self._waiting:
            self._unauthenticated[key] = event
        else:
            self._unauthenticated.setdefault(key, None)
            self._put(key, event, _UNAUTHENTICATED_LIMIT)

    def _begin_minute(self) -> None:
        """In a new minute, queue the refusals held back in the previous minute."""
        minute = int(self._clock() // _MINUTE_SECONDS)
        if minute != self._minute:
            self._flush_unauthenticated()
            self._minute = minute

    def _flush_unauthenticated(self) -> None:
        held = [(key, event) for key, event in self._unauthenticated.items() if event is not None]
        self._unauthenticated = {}
        for key, event in held:
            self._put((event.id, *key), event, _UNAUTHENTICATED_LIMIT)

    def _event(self, action: str, actor: Identity, address: str, target: str, details: dict[str, str]) -> AuditEvent:
        return AuditEvent(
            ObjectId(), round(self._clock() * 1000), action, str(actor.kind), _short(actor.name), address, target, details
        )

    def _put(self, key: tuple[object, ...], event: AuditEvent, limit: int) -> None:
        if key in self._waiting or len(self._waiting) < limit:
            self._waiting[key] = event
        else:
            self.lost += 1

    async def write(self, *, last: bool = False) -> None:
        """Write the waiting events, and with `last` also those that are held back.

        Raises `StoreUnavailable`; the events wait for the next call then.
        """
        self._begin_minute()
        if last:
            self._flush_unauthenticated()
        while self._waiting:
            keys = list(self._waiting)[:_BATCH]
            events = [self._waiting.pop(key) for key in keys]  # an equal event that follows becomes a separate record
            try:
                await self._store.add(events)
            except StoreError as error:
                if type(error) is StoreError:
                    self.lost += len(events)
                    log.warning("audit: %d events refused by the store: events lost: %s", len(events), error)
                    continue
                self._waiting = dict(zip(keys, events, strict=True)) | self._waiting
                raise


def _short(text: str) -> str:
    """Untrusted text, cut to `_TEXT_LENGTH` and escaped if it is not printable."""
    cut = text[:_TEXT_LENGTH]
    return cut if cut.isprintable() else ascii(cut)[1:-1][:_TEXT_LENGTH]


def _repeated(event: AuditEvent, target: str) -> AuditEvent:
    """The event, counted once more. A different `target` is appended while there is room."""
    targets = event.target
    if f", {target}, " not in f", {targets}, " and not targets.endswith(_MORE):
        targets = f"{targets}, {target}" if len(targets) + len(target) < _TEXT_LENGTH - len(_MORE) - 1 else targets + _MORE
    return replace(event, target=targets, count=event.count + 1)
