"""Who may connect, and how much may come from one connection: limits in total and per address, and a message rate.

Where access is required, those who have not logged in yet are strangers: a tenth of the places, or 50, is theirs, and half of
that one address's, so that they can take no more from those who have, nor one of them all from the others.

Plain bookkeeping, without sockets: a dialect asks, and ends the connections it is told to end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from bridge.core.address import rate_limit_key
from bridge.settings import RealtimeSettings

_STRANGERS_SHARE, _STRANGERS_LEAST = 10, 50


@dataclass(slots=True)
class Entry:
    """One connection, and its bucket of tokens, filled at the message rate."""

    address: str
    key: str
    tokens: float
    filled: float


@dataclass(slots=True)
class ConnectionLimiter:
    """The connections of all dialects, each under a key of its dialect's choice. Times are monotonic seconds."""

    settings: RealtimeSettings
    required: bool = False
    """Whether somebody must log in."""
    refused: dict[str, int] = field(default_factory=dict)
    """Connections not let in, by reason."""
    _entries: dict[Hashable, Entry] = field(default_factory=dict)
    _deadlines: dict[Hashable, float] = field(default_factory=dict)
    _by_key: Counter[str] = field(default_factory=Counter)
    _unauthenticated: dict[Hashable, str] = field(default_factory=dict)  # and the place of each
    _unauthenticated_by_key: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def address(self, key: Hashable) -> str:
        """Where a connection comes from."""
        visitor = self._entries.get(key)
        return "unknown" if visitor is None else visitor.address

    @property
    def unauthenticated_limit(self) -> int:
        """The most who have not logged in yet."""
        return max(_STRANGERS_LEAST, self.settings.max_clients // _STRANGERS_SHARE)

    def is_full_for_unauthenticated(self, address: str) -> bool:
        """Whether one more from there is let in only if he is known."""
        limit = self.unauthenticated_limit
        return len(self._unauthenticated) >= limit or self._unauthenticated_by_key[rate_limit_key(address)] >= limit // 2

    def refusal(self, address: str, *, known: bool = False) -> str | None:
        """Why one more connection from there is not let in (it is counted); None if it is."""
        settings = self.settings
        if len(self._entries) >= settings.max_clients:
            reason, text = "total", f"the bridge has {settings.max_clients} clients, the most it may have"
        elif self._by_key[rate_limit_key(address)] >= settings.max_clients_per_address:
            reason, text = "address", f"{settings.max_clients_per_address} clients are connected from this address, the most"
        elif not known and self.is_full_for_unauthenticated(address):
            reason, text = "strangers", "too many are connected who have not logged in yet; show a token with the handshake"
        else:
            return None
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return text

    def add(self, key: Hashable, address: str, now: float) -> None:
        """A connection begins; its handshake is to be over in time."""
        place = rate_limit_key(address)
        self._entries[key] = Entry(address, place, self.settings.message_burst, now)
        self._deadlines[key] = now + self.settings.handshake_seconds
        self._by_key[place] += 1
        if self.required:
            self._unauthenticated[key] = place
            self._unauthenticated_by_key[place] += 1

    def mark_authenticated(self, key: Hashable) -> None:
        """It has logged in; safe to repeat."""
        place = self._unauthenticated.pop(key, None)
        if place is not None:
            _decrease(self._unauthenticated_by_key, place)

    def remove(self, key: Hashable) -> None:
        """It has ended; safe to repeat."""
        self.mark_authenticated(key)
        visitor = self._entries.pop(key, None)
        self._deadlines.pop(key, None)
        if visitor is not None:
            _decrease(self._by_key, visitor.key)

    def handshake_done(self, key: Hashable) -> None:
        """Its handshake is over."""
        self._deadlines.pop(key, None)

    def set_deadline(self, key: Hashable, seconds: float, now: float) -> None:
        """It may stay so long, to read why it was refused or to begin anew; not longer than it was given before."""
        if key in self._entries:
            self._deadlines[key] = min(now + seconds, self._deadlines.get(key, math.inf))

    def overdue(self, now: float) -> list[Hashable]:
        """Connections whose time for a handshake is over."""
        return [key for key, deadline in self._deadlines.items() if deadline <= now]

    def allow_message(self, key: Hashable, now: float) -> bool:
        """Count a message; whether the connection keeps to its rate."""
        visitor = self._entries.get(key)
        if visitor is None:
            return False
        filled = visitor.tokens + (now - visitor.filled) * self.settings.message_rate
        visitor.tokens, visitor.filled = min(filled, self.settings.message_burst), now
        if visitor.tokens < 1:
            return False
        visitor.tokens -= 1
        return True


def _decrease(counts: Counter[str], place: str) -> None:
    counts[place] -= 1
    if not counts[place]:
        del counts[place]
