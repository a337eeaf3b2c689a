"""Who may connect, and how much may come from one connection: limits in total and per address, and a message rate.

Plain bookkeeping, without sockets: a dialect asks, and ends the connections it is told to end.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from bridge.settings import RealtimeSettings

Network = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Who the client is: the peer, or what a trusted proxy says in `X-Forwarded-For`, read from its end.

    Only as far as the proxies are trusted: what a client writes into the header itself stands before that.
    """
    address = peer or "unknown"
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        parsed = _parse(address)
        if parsed is None or not any(parsed in network for network in trusted):
            break
        address = hop[:64]
    return str(_parse(address) or address)


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether what comes from this peer comes through a proxy that may say who its client is."""
    parsed = _parse(peer or "")
    return parsed is not None and any(parsed in network for network in trusted)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """Also with a port, as some proxies write it; an IPv4 address as such, however it came."""
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


@dataclass(slots=True)
class Visitor:
    """One connection, and its bucket of tokens, filled at the message rate."""

    address: str
    tokens: float
    filled: float


@dataclass(slots=True)
class Gate:
    """The connections of all dialects, each under a key of its dialect's choice. Times are monotonic seconds."""

    settings: RealtimeSettings
    refused: dict[str, int] = field(default_factory=dict)
    """Connections not let in, by reason."""
    _visitors: dict[Hashable, Visitor] = field(default_factory=dict)
    _deadlines: dict[Hashable, float] = field(default_factory=dict)
    _of_address: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._visitors)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._visitors

    def address(self, key: Hashable) -> str:
        """Where a connection comes from."""
        visitor = self._visitors.get(key)
        return "unknown" if visitor is None else visitor.address

    def refusal(self, address: str) -> str | None:
        """Why one more connection from there is not let in (it is counted); None if it is."""
        settings = self.settings
        if len(self._visitors) >= settings.max_clients:
            reason, text = "total", f"the bridge has {settings.max_clients} clients, the most it may have"
        elif self._of_address.get(address, 0) >= settings.max_clients_per_address:
            reason, text = "address", f"{settings.max_clients_per_address} clients are connected from this address, the most"
        else:
            return None
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return text

    def enter(self, key: Hashable, address: str, now: float) -> None:
        """A connection begins; its handshake is to be over in time."""
        self._visitors[key] = Visitor(address, self.settings.message_burst, now)
        self._deadlines[key] = now + self.settings.handshake_seconds
        self._of_address[address] = self._of_address.get(address, 0) + 1

    def leave(self, key: Hashable) -> None:
        """It has ended; safe to repeat."""
        visitor = self._visitors.pop(key, None)
        self._deadlines.pop(key, None)
        if visitor is None:
            return
        left = self._of_address[visitor.address] - 1
        if left:
            self._of_address[visitor.address] = left
        else:
            del self._of_address[visitor.address]

    def shake(self, key: Hashable) -> None:
        """Its handshake is over."""
        self._deadlines.pop(key, None)

    def give(self, key: Hashable, seconds: float, now: float) -> None:
        """It may stay so long, to read why it was refused or to begin anew; not longer than it was given before."""
        if key in self._visitors:
            self._deadlines[key] = min(now + seconds, self._deadlines.get(key, math.inf))

    def overdue(self, now: float) -> list[Hashable]:
        """Connections whose time for a handshake is over."""
        return [key for key, deadline in self._deadlines.items() if deadline <= now]

    def takes(self, key: Hashable, now: float) -> bool:
        """Count a message; whether the connection keeps to its rate."""
        visitor = self._visitors.get(key)
        if visitor is None:
            return False
        filled = visitor.tokens + (now - visitor.filled) * self.settings.message_rate
        visitor.tokens, visitor.filled = min(filled, self.settings.message_burst), now
        if visitor.tokens < 1:
            return False
        visitor.tokens -= 1
        return True
