"""Connection limits (in total, per address, unauthenticated) and message rates. Plain bookkeeping, without sockets.

While access control is on, unauthenticated connections are limited to a tenth of `max_clients`, at least 50, and one address
to half of that: they cannot take the places of authenticated clients, and one address cannot take those of all others.
"""

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from bridge.core.rate_limit_key import rate_limit_key
from bridge.settings import RealtimeSettings

_UNAUTHENTICATED_DIVISOR, _UNAUTHENTICATED_MINIMUM = 10, 50


@dataclass(slots=True)
class Entry:
    """One connection and its token bucket, which is refilled at the message rate."""

    address: str
    key: str
    tokens: float
    filled_at: float


@dataclass(slots=True)
class ConnectionLimiter:
    """The connections of all protocols, by a key that the protocol chooses. Times are monotonic seconds."""

    settings: RealtimeSettings
    required: bool = False
    """Whether clients must log in."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refused connections, by reason."""
    _entries: dict[Hashable, Entry] = field(default_factory=dict)
    _deadlines: dict[Hashable, float] = field(default_factory=dict)
    _by_address: Counter[str] = field(default_factory=Counter)
    _unauthenticated: dict[Hashable, str] = field(default_factory=dict)  # to the key of the address
    _unauthenticated_by_address: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def address(self, key: Hashable) -> str:
        entry = self._entries.get(key)
        return "unknown" if entry is None else entry.address

    @property
    def unauthenticated_limit(self) -> int:
        return max(_UNAUTHENTICATED_MINIMUM, self.settings.max_clients // _UNAUTHENTICATED_DIVISOR)

    def is_full_for_unauthenticated(self, address: str) -> bool:
        """Return whether a further unauthenticated connection from `address` would be refused."""
        limit = self.unauthenticated_limit
        return len(self._unauthenticated) >= limit or self._unauthenticated_by_address[rate_limit_key(address)] >= limit // 2

    def refusal(self, address: str, *, known: bool = False) -> str | None:
        """Return why a further connection from `address` is refused, and count it; None if it is accepted.

        `known`: the handshake holds valid credentials.
        """
        settings = self.settings
        if len(self._entries) >= settings.max_clients:
            reason, text = "total", f"too many clients: the bridge serves at most {settings.max_clients}"
        elif self._by_address[rate_limit_key(address)] >= settings.max_clients_per_address:
            reason, text = "address", f"too many clients from this address: at most {settings.max_clients_per_address} each"
        elif not known and self.is_full_for_unauthenticated(address):
            reason, text = "strangers", "too many clients that have not logged in yet; send a token with the handshake"
        else:
            return None
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return text

    def add(self, key: Hashable, address: str, now: float) -> None:
        address_key = rate_limit_key(address)
        self._entries[key] = Entry(address, address_key, self.settings.message_burst, now)
        self._deadlines[key] = now + self.settings.handshake_seconds
        self._by_address[address_key] += 1
        if self.required:
            self._unauthenticated[key] = address_key
            self._unauthenticated_by_address[address_key] += 1

    def mark_authenticated(self, key: Hashable) -> None:
        address_key = self._unauthenticated.pop(key, None)
        if address_key is not None:
            _decrement(self._unauthenticated_by_address, address_key)

    def remove(self, key: Hashable) -> None:
        self.mark_authenticated(key)
        entry = self._entries.pop(key, None)
        self._deadlines.pop(key, None)
        if entry is not None:
            _decrement(self._by_address, entry.key)

    def handshake_done(self, key: Hashable) -> None:
        self._deadlines.pop(key, None)

    def set_deadline(self, key: Hashable, seconds: float, now: float) -> None:
        """Let a connection stay for `seconds`, to read a refusal or to join again; an earlier deadline is not extended."""
        if key in self._entries:
            self._deadlines[key] = min(now + seconds, self._deadlines.get(key, math.inf))

    def overdue(self, now: float) -> list[Hashable]:
        return [key for key, deadline in self._deadlines.items() if deadline <= now]

    def allow_message(self, key: Hashable, now: float) -> bool:
        """Count a message; return whether the connection keeps to its rate."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        tokens = entry.tokens + (now - entry.filled_at) * self.settings.message_rate
        entry.tokens, entry.filled_at = min(tokens, self.settings.message_burst), now
        if entry.tokens < 1:
            return False
        entry.tokens -= 1
        return True


def _decrement(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
