"""What was taken back: in memory, to be asked on the way of every request, and in the store, for other bridges and restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge.core.account import Revocation
from bridge.ports import KeptSessions

log = logging.getLogger(__name__)

KEPT_SECONDS = 90_000
"""Longer than any token is valid. What a key was taken back for is not needed after that: the key is gone."""

_OVERLAP_MS = 60_000  # what another machine wrote may come late, and its clock may be behind
_LIMIT = 200_000


class Revocations:
    """Grants that stand for nothing any more."""

    def __init__(self, kept: KeptSessions, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._kept = kept
        self._clock = clock
        self._until_ms: dict[str, int] = {}
        self._seen_ms = 0
        self.on_revoked: Callable[[str], None] = lambda _: None

    def __contains__(self, grant: str) -> bool:
        return grant in self._until_ms

    async def revoke(self, grant: str) -> None:
        """Take it back: here at once, elsewhere within a second or two. Raises `StoreUnavailable`; here it holds even so."""
        now_ms = round(self._clock() * 1000)
        one = Revocation(grant, now_ms, now_ms + KEPT_SECONDS * 1000)
        self._note(one)
        await self._kept.revoke(one)

    async def look(self) -> None:
        """Learn what was taken back by others, and forget what needs no remembering. Raises `StoreUnavailable`."""
        for one in await self._kept.revocations(max(self._seen_ms - _OVERLAP_MS, 0)):
            self._seen_ms = max(self._seen_ms, one.at_ms)
            self._note(one)
        now_ms = self._clock() * 1000
        while self._until_ms and (next(iter(self._until_ms.values())) < now_ms or len(self._until_ms) > _LIMIT):
            first, until_ms = next(iter(self._until_ms.items()))
            if until_ms >= now_ms:
                log.error("%d grants were taken back within a day: the oldest of them is forgotten", _LIMIT)
            del self._until_ms[first]

    def _note(self, one: Revocation) -> None:
        if one.id not in self._until_ms:
            self._until_ms[one.id] = one.expires_ms
            self.on_revoked(one.id)
