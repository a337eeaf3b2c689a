"""What was taken back: in memory, to be asked on the way of every request, and in the store, for other bridges and restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge.core.access.accounts import Revocation
from bridge.ports import SessionStore

log = logging.getLogger(__name__)

KEPT_SECONDS = 90_000
"""Longer than any token is valid. What a key was taken back for is not needed after that: the key is gone."""

_LIMIT = 200_000


class Revocations:
    """Grants that stand for nothing any more."""

    def __init__(self, kept: SessionStore, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._kept = kept
        self._clock = clock
        self._until_ms: dict[str, int] = {}
        self._unwritten: dict[str, Revocation] = {}
        self._mark = 0
        self.on_revoked: Callable[[str], None] = lambda _: None

    def __contains__(self, grant: str) -> bool:
        return grant in self._until_ms

    async def revoke(self, grant: str) -> None:
        """Take it back: here at once, elsewhere within a second or two.

        Raises `StoreUnavailable`; here it holds even so, and it is written when the store is back.
        """
        now_ms = round(self._clock() * 1000)
        one = Revocation(grant, now_ms, now_ms + KEPT_SECONDS * 1000)
        self._note(one)
        self._unwritten[one.id] = one
        await self._write()

    async def _write(self) -> None:
        """Each until it is written: it is safe to repeat."""
        for one in tuple(self._unwritten.values()):
            await self._kept.revoke(one)
            self._unwritten.pop(one.id, None)

    async def look(self) -> None:
        """Learn what others took back, forget what needs no remembering, write what waits. Raises `StoreUnavailable`."""
        found, self._mark = await self._kept.revocations(self._mark)
        for one in found:
            self._note(one)
        now_ms = self._clock() * 1000
        while self._until_ms and (next(iter(self._until_ms.values())) < now_ms or len(self._until_ms) > _LIMIT):
            first, until_ms = next(iter(self._until_ms.items()))
            if until_ms >= now_ms:
                log.error("%d grants were taken back within a day: the oldest of them is forgotten", _LIMIT)
            del self._until_ms[first]
            self._unwritten.pop(first, None)
        await self._write()

    def _note(self, one: Revocation) -> None:
        if one.id not in self._until_ms:
            self._until_ms[one.id] = one.expires_ms
            self.on_revoked(one.id)
