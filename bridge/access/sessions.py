"""Who has logged in, and renews tokens without a password.

What renews is `sbr_`, the session's id, a secret that stays and one that is another each time. The store has hashes of both.
Who shows the first with a turn of before shows what was used already: a thief, or the one he stole from. It ends for both.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from bridge.access.revocations import Revocations
from bridge.core.access.accounts import LoginSession
from bridge.core.access.secrets import matches_hash, sha256_hex
from bridge.core.errors import Unauthorized
from bridge.ports import SessionStore

PER_USER_LIMIT = 50
"""One more, and the oldest ends."""

_FORM = re.compile(r"sbr_([0-9a-f]{24})_([0-9a-f]{32})_([0-9a-f]{64})", re.ASCII)


class LoginSessions:
    """Begins, renews and ends them; each may raise `StoreUnavailable`."""

    def __init__(self, kept: SessionStore, revocations: Revocations, seconds: float, clock: Callable[[], float]) -> None:
        """A session ends after so many seconds whatever is done."""
        self._kept = kept
        self._revocations = revocations
        self._seconds = seconds
        self._clock = clock

    async def begin(self, user: str) -> tuple[LoginSession, str]:
        """A new one, and what renews its tokens."""
        for old in (await self._kept.by_user(user))[: -PER_USER_LIMIT + 1]:
            await self.end(old.id)
        session_id, family, turn = secrets.token_hex(12), secrets.token_hex(16), secrets.token_hex(32)
        now_ms = round(self._clock() * 1000)
        session = LoginSession(
            session_id,
            user,
            sha256_hex(family.encode()),
            sha256_hex(turn.encode()),
            now_ms,
            now_ms + round(self._seconds * 1000),
        )
        await self._kept.add(session)
        return session, f"sbr_{session_id}_{family}_{turn}"

    async def renew(self, shown: str) -> tuple[LoginSession, str]:
        """The session, and what renews it the next time. Raises `Unauthorized`, with the code `replayed` for what was used."""
        session, family, turn = await self._find(shown)
        if not matches_hash(turn.encode(), session.generation):
            await self._replayed(session)
        following = secrets.token_hex(32)
        if not await self._kept.rotate(session, session.rotated(sha256_hex(following.encode()))):
            await self._replayed(session)  # by somebody else, at this moment
        return session, f"sbr_{session.id}_{family}_{following}"

    async def find(self, shown: str) -> LoginSession:
        """Whose it is, however often it was shown before; raises `Unauthorized`."""
        return (await self._find(shown))[0]

    async def _find(self, shown: str) -> tuple[LoginSession, str, str]:
        found = _FORM.fullmatch(shown)
        session = await self._kept.get(found[1]) if found else None
        if found is None or session is None or not matches_hash(found[2].encode(), session.family):
            raise Unauthorized("invalid", "this session has ended: log in again")
        if self._clock() * 1000 >= session.expires_ms or f"session:{session.id}" in self._revocations:
            raise Unauthorized("expired", "this session has ended: log in again")
        return session, found[2], found[3]

    async def _replayed(self, session: LoginSession) -> None:
        await self.end(session.id)
        raise Unauthorized("replayed", "this was used before, so the session has ended: log in again")

    async def end(self, session_id: str) -> None:
        """Its tokens are worth nothing from now on."""
        await self._revocations.revoke(f"session:{session_id}")
        await self._kept.remove(session_id)

    async def end_all(self, user: str) -> int:
        """All of a user's; how many."""
        sessions = await self._kept.by_user(user)
        for session in sessions:
            await self.end(session.id)
        return len(sessions)
