"""Revoked sessions and keys: in memory, to be checked with every request, and in the store, for other bridges and restarts."""

import logging
from collections.abc import Callable

from bridge.core.access.accounts import Revocation
from bridge.ports import SessionStore

log = logging.getLogger(__name__)

KEPT_SECONDS = 90_000
"""Longer than any token is valid. The revocation of a key is not needed longer either: the key is removed by then."""

_LIMIT = 200_000


class Revocations:
    """The grants (`session:ID`, `key:ID`) that are revoked."""

    def __init__(self, store: SessionStore, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._until_ms: dict[str, int] = {}
        self._unwritten: dict[str, Revocation] = {}
        self._mark = 0
        self.on_revoked: Callable[[str], None] = lambda _: None

    def __contains__(self, grant: str) -> bool:
        return grant in self._until_ms

    async def revoke(self, grant: str) -> None:
        """Revoke a grant: in this bridge at once, in others within two seconds.

        Raises `StoreUnavailable`; it is revoked in this bridge even then, and written when the store is available again.
        """
        now_ms = round(self._clock() * 1000)
        revocation = Revocation(grant, now_ms, now_ms + KEPT_SECONDS * 1000)
        self._apply(revocation)
        self._unwritten[revocation.id] = revocation
        await self._write()

    async def _write(self) -> None:
        for revocation in tuple(self._unwritten.values()):
            await self._store.revoke(revocation)
            self._unwritten.pop(revocation.id, None)

    async def sync(self) -> None:
        """Read the revocations of other bridges, drop old ones, write those that wait. Raises `StoreUnavailable`."""
        revocations, self._mark = await self._store.revocations(self._mark)
        for revocation in revocations:
            self._apply(revocation)
        now_ms = self._clock() * 1000
        while self._until_ms and (next(iter(self._until_ms.values())) < now_ms or len(self._until_ms) > _LIMIT):
            first, until_ms = next(iter(self._until_ms.items()))
            if until_ms >= now_ms:
                log.error("access: more than %d grants revoked within a day: oldest revocation dropped", _LIMIT)
            del self._until_ms[first]
            self._unwritten.pop(first, None)
        await self._write()

    def _apply(self, revocation: Revocation) -> None:
        if revocation.id not in self._until_ms:
            self._until_ms[revocation.id] = revocation.expires_ms
            self.on_revoked(revocation.id)
