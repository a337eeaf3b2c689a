"""Who did what: noted at once, written every second. The same of the same within that second is one record, counted.

Who is nobody can be refused as often as he likes. So of a place and a kind of refusal there are two records a minute at the
most: the first at once, and one of all that followed when the minute is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from bson.objectid import ObjectId

from bridge.core.access.audit import REFUSED, AuditEvent
from bridge.core.access.permissions import NOBODY, Identity
from bridge.core.address import rate_limit_key
from bridge.core.errors import StoreError
from bridge.ports import AuditStore

log = logging.getLogger(__name__)

WAITING_LIMIT = 10_000
SOURCES_LIMIT = 1000
"""Places and kinds of refusal told apart within a minute; what more there are count together, as of no place."""

_UNAUTHENTICATED_LIMIT = WAITING_LIMIT // 2  # what those who are nobody leave to the others while the store is away
_MINUTE_SECONDS = 60
_BATCH = 500
_TEXT_LENGTH = 200
_MORE = ", …"


class AuditTrail:
    """What waits to be written, and the way there."""

    def __init__(self, kept: AuditStore, *, keeps: bool = True, clock: Callable[[], float] = time.time) -> None:
        """While access is open nothing is kept: nobody is known."""
        self._kept = kept
        self._keeps = keeps
        self._clock = clock
        self._waiting: dict[tuple[object, ...], AuditEvent] = {}
        self._minute = 0
        self._unauthenticated: dict[tuple[object, ...], AuditEvent | None] = {}
        """Of this minute, what followed the first."""
        self.lost = 0
        """Acts that found no room while the store was away, or that it would not take."""

    def record(self, action: str, *, actor: Identity, address: str = "", target: str = "", **details: str) -> None:
        """Something was done, or refused."""
        if not self._keeps:
            return
        details = {name: _short(text) for name, text in details.items()}
        name, target, address = _short(actor.name), _short(target), _short(address)
        if actor == NOBODY:
            self._record_unauthenticated(action, rate_limit_key(address), target, details)
            return
        key = (action, actor.kind, name, address, target, *details.items())
        there = self._waiting.get(key)
        made = self._act(action, actor, address, target, details) if there is None else replace(there, count=there.count + 1)
        self._put(key, made, WAITING_LIMIT)

    def _record_unauthenticated(self, action: str, place: str, target: str, details: dict[str, str]) -> None:
        self._begin_minute()
        kind = (action, "" if action == REFUSED else target, *details.items())
        if (place, *kind) not in self._unauthenticated and len(self._unauthenticated) >= SOURCES_LIMIT:
            place = ""
        key = (place, *kind)
        there = self._waiting.get(key) or self._unauthenticated.get(key)
        made = self._act(action, NOBODY, place, target, details) if there is None else _again(there, target)
        if key in self._unauthenticated and key not in self._waiting:
            self._unauthenticated[key] = made
        else:
            self._unauthenticated.setdefault(key, None)
            self._put(key, made, _UNAUTHENTICATED_LIMIT)

    def _begin_minute(self) -> None:
        """Where another has begun, what was held back of the one before is to be written."""
        minute = int(self._clock() // _MINUTE_SECONDS)
        if minute != self._minute:
            self._hand_over()
            self._minute = minute

    def _hand_over(self) -> None:
        held = [(key, one) for key, one in self._unauthenticated.items() if one is not None]
        self._unauthenticated = {}
        for key, one in held:
            self._put((one.id, *key), one, _UNAUTHENTICATED_LIMIT)

    def _act(self, action: str, actor: Identity, address: str, target: str, details: dict[str, str]) -> AuditEvent:
        return AuditEvent(
            ObjectId(), round(self._clock() * 1000), action, str(actor.kind), _short(actor.name), address, target, details
        )

    def _put(self, key: tuple[object, ...], one: AuditEvent, limit: int) -> None:
        if key in self._waiting or len(self._waiting) < limit:
            self._waiting[key] = one
        else:
            self.lost += 1

    async def write(self, *, last: bool = False) -> None:
        """All that waits, and with `last` what is held back too; raises `StoreUnavailable`, and it goes on waiting."""
        self._begin_minute()
        if last:
            self._hand_over()
        while self._waiting:
            keys = list(self._waiting)[:_BATCH]
            acts = [self._waiting.pop(key) for key in keys]  # what comes meanwhile is a record of its own
            try:
                await self._kept.add(acts)
            except StoreError as error:
                if type(error) is StoreError:
                    self.lost += len(acts)
                    log.warning("%d acts cannot be kept: %s", len(acts), error)
                    continue
                self._waiting = dict(zip(keys, acts, strict=True)) | self._waiting
                raise


def _short(text: str) -> str:
    """Printable, and not long: it may be anything."""
    cut = text[:_TEXT_LENGTH]
    return cut if cut.isprintable() else ascii(cut)[1:-1][:_TEXT_LENGTH]


def _again(there: AuditEvent, target: str) -> AuditEvent:
    """The same event once more; `target` is added as long as there is room."""
    told = there.target
    if target not in told.split(", ") and not told.endswith(_MORE):
        told = f"{told}, {target}" if len(told) + len(target) < _TEXT_LENGTH - len(_MORE) - 1 else told + _MORE
    return replace(there, target=told, count=there.count + 1)
