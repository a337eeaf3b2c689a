"""Login sessions and their refresh tokens, which renew access tokens without a password.

A refresh token is `sbr_`, the id of the session, a family secret that stays the same and a generation secret that is new each
time; the store has hashes of both. A used refresh token (right family, old generation) was stolen, or its successor was: the
session ends for both holders (RFC 9700, section 4.14.2).
"""

import re
import secrets
from collections.abc import Callable

from bridge.access.revocations import Revocations
from bridge.core.access.accounts import LoginSession
from bridge.core.access.secrets import matches_hash, sha256_hex
from bridge.core.errors import Unauthorized
from bridge.ports import SessionStore

PER_USER_LIMIT = 50
"""A login beyond this ends the oldest session of the user."""

_FORMAT = re.compile(r"sbr_([0-9a-f]{24})_([0-9a-f]{32})_([0-9a-f]{64})", re.ASCII)


class LoginSessions:
    """Begins, renews and ends sessions. Each call may raise `StoreUnavailable`."""

    def __init__(self, store: SessionStore, revocations: Revocations, seconds: float, clock: Callable[[], float]) -> None:
        """A session lasts at most `seconds`, however often it is renewed."""
        self._store = store
        self._revocations = revocations
        self._seconds = seconds
        self._clock = clock

    async def begin(self, user: str, *, in_cookie: bool = False) -> tuple[LoginSession, str]:
        """Begin a session. Returns it and its first refresh token; `in_cookie`: they count in a cookie only."""
        for old in (await self._store.by_user(user))[: -PER_USER_LIMIT + 1]:
            await self.end(old.id)
        session_id, family, generation = secrets.token_hex(12), secrets.token_hex(16), secrets.token_hex(32)
        now_ms = round(self._clock() * 1000)
        session = LoginSession(
            session_id,
            user,
            sha256_hex(family.encode()),
            sha256_hex(generation.encode()),
            now_ms,
            now_ms + round(self._seconds * 1000),
            in_cookie,
        )
        await self._store.add(session)
        return session, f"sbr_{session_id}_{family}_{generation}"

    async def renew(self, refresh_token: str, *, in_cookie: bool = False) -> tuple[LoginSession, str]:
        """The session and its next refresh token. Raises `Unauthorized`, with the code `replayed` for a used token."""
        session, family, generation = await self._find(refresh_token)
        if session.in_cookie and not in_cookie:  # cookies are sent to every server of the host
            raise Unauthorized("invalid", "this refresh token counts in a cookie only: log in with cookies false")
        if not matches_hash(generation.encode(), session.generation):
            await self._end_replayed(session)
        following = secrets.token_hex(32)
        if not await self._store.rotate(session, session.rotated(sha256_hex(following.encode()))):
            await self._end_replayed(session)  # two requests used the same token at once
        return session, f"sbr_{session.id}_{family}_{following}"

    async def current(self, session_id: str) -> LoginSession | None:
        """The session with this id, if it has not ended."""
        session = await self._store.get(session_id)
        if session is None or self._clock() * 1000 >= session.expires_ms or f"session:{session.id}" in self._revocations:
            return None
        return session

    async def find(self, refresh_token: str) -> LoginSession:
        """The session of a refresh token, used or not. Raises `Unauthorized`."""
        return (await self._find(refresh_token))[0]

    async def _find(self, refresh_token: str) -> tuple[LoginSession, str, str]:
        match = _FORMAT.fullmatch(refresh_token)
        session = await self._store.get(match[1]) if match else None
        if match is None or session is None or not matches_hash(match[2].encode(), session.family):
            raise Unauthorized("invalid", "this session has ended: log in again")
        if self._clock() * 1000 >= session.expires_ms or f"session:{session.id}" in self._revocations:
            raise Unauthorized("expired", "this session has ended: log in again")
        return session, match[2], match[3]

    async def _end_replayed(self, session: LoginSession) -> None:
        await self.end(session.id)
        raise Unauthorized("replayed", "this refresh token was used before, so its session has ended: log in again")

    async def end(self, session_id: str) -> None:
        await self._revocations.revoke(f"session:{session_id}")
        await self._store.remove(session_id)

    async def end_all(self, user: str, *, keep: str = "") -> int:
        """End all sessions of a user except the one with the id `keep`; return how many."""
        sessions = [session for session in await self._store.by_user(user) if session.id != keep]
        for session in sessions:
            await self.end(session.id)
        return len(sessions)
