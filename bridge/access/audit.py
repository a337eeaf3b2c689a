"""Who did what: noted at once, written every second. The same of the same within that second is one record, counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from bson.objectid import ObjectId

from bridge.core.access import Identity
from bridge.core.audit import Act
from bridge.core.errors import StoreError
from bridge.ports import KeptAudit

log = logging.getLogger(__name__)

WAITING_LIMIT = 10_000
_BATCH = 500
_TEXT_LENGTH = 200


class AuditTrail:
    """What waits to be written, and the way there."""

    def __init__(self, kept: KeptAudit, *, keeps: bool = True, clock: Callable[[], float] = time.time) -> None:
        """While access is open nothing is kept: nobody is known."""
        self._kept = kept
        self._keeps = keeps
        self._clock = clock
        self._waiting: dict[tuple[object, ...], Act] = {}
        self.lost = 0
        """Acts that found no room while the store was away, or that it would not take."""

    def note(self, act: str, *, by: Identity, address: str = "", about: str = "", **more: str) -> None:
        """Something was done, or refused."""
        if not self._keeps:
            return
        said = {name: _short(text) for name, text in more.items()}
        name, about, address = _short(by.name), _short(about), _short(address)
        key = (act, by.kind, name, address, about, *said.items())
        there = self._waiting.get(key)
        if there is not None:
            self._waiting[key] = replace(there, times=there.times + 1)
        elif len(self._waiting) >= WAITING_LIMIT:
            self.lost += 1
        else:
            at_ms = round(self._clock() * 1000)
            self._waiting[key] = Act(ObjectId(), at_ms, act, str(by.kind), name, address, about, said)

    async def write(self) -> None:
        """All that waits; raises `StoreUnavailable`, and it goes on waiting."""
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
