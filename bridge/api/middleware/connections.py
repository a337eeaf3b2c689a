"""The TCP connections of the port: how many there may be from one address, how long each may take to say what it wants, and
how many begin at once.

aiohttp knows none of these limits: a connection that says nothing it would keep for as long as one that is idle, and a thousand
that come at once it begins all, while everyone else waits. So we stand between each transport and aiohttp's protocol, by public
names alone: `get_protocol` of a transport, and a runner's `server`, which makes protocols.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from aiohttp import web

from bridge.core.address import rate_limit_key
from bridge.http.proxies import client_address, is_trusted
from bridge.settings import HttpSettings, RealtimeSettings

_FILES = (1_048_576, 65_536, 10_240)  # macOS allows less than it says
_AT_ONCE = 4
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connections:
    """Those that are open, by address; of proxies that are trusted none is counted, as they come for others."""

    def __init__(self, settings: HttpSettings, realtime: RealtimeSettings) -> None:
        """From one address its live clients may come, and some more."""
        self.limit = realtime.max_clients_per_address + settings.connections_per_address
        self.accepted = 0
        self.ended: dict[str, int] = {}
        """Those that we ended, by reason."""
        self.turns = AcceptThrottle()
        self.silent: dict[_Connection, None] = {}
        """Those of whom aiohttp does not know yet."""
        self._settings = settings
        self._of_place: dict[str, int] = {}

    def share(self, files: int | None) -> None:
        """So many files may be open: one address gets three quarters of them at the most."""
        if files is not None:
            self.limit = max(1, min(self.limit, files * 3 // 4))

    def factory(self, runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
        """Of protocols for a server, before those of `runner`, which is set up."""
        server = runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        return lambda: _Connection(self, server)

    @property
    def header_seconds(self) -> float:
        """How long the headers of the first request may take."""
        return self._settings.header_seconds

    def enter(self, peer: str) -> str | None:
        """One more; where it is counted, empty for nowhere. None: there are too many from there."""
        self.accepted += 1
        if is_trusted(peer, self._settings.trusted_proxies):
            return ""
        place = rate_limit_key(client_address(peer, "", ()))
        if self._of_place.get(place, 0) >= self.limit:
            self.end("address")
            return None
        self._of_place[place] = self._of_place.get(place, 0) + 1
        return place

    def leave(self, place: str) -> None:
        """It has ended."""
        if not place:
            return
        self._of_place[place] -= 1
        if not self._of_place[place]:
            del self._of_place[place]

    def close(self) -> None:
        """End those that have said nothing; the others are aiohttp's."""
        for connection in tuple(self.silent):
            connection.abort()

    def end(self, reason: str) -> None:
        """We end one: count why."""
        self.ended[reason] = self.ended.get(reason, 0) + 1


class AcceptThrottle:
    """Lets a few connections begin in each turn of the event loop, in the order in which they spoke.

    Between two turns the loop looks after everyone else: beside 1,000 that come at once, readings were 90 to 150 ms late, and
    are 10 to 25.
    """

    def __init__(self) -> None:
        """Nobody waits."""
        self._begun = 0
        self._waiting: deque[_Connection] = deque()

    def take(self, connection: _Connection) -> bool:
        """Whether it may begin now; if not it is told to, when its turn comes."""
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        if self._begun < _AT_ONCE:
            self._begun += 1
            return True
        self._waiting.append(connection)
        return False

    def _next(self) -> None:
        self._begun = min(len(self._waiting), _AT_ONCE)
        if self._begun:  # asked for first: one that fails must not keep the others waiting for ever
            asyncio.get_running_loop().call_soon(self._next)
        for _ in range(self._begun):
            self._waiting.popleft().begin()


class _Connection(asyncio.Protocol):
    """One, between its transport and aiohttp's protocol, which is made when its turn comes; until then no more is read."""

    __slots__ = ("_connections", "_inner", "_make", "_place", "_said", "_timer", "_transport")

    def __init__(self, connections: Connections, make: Callable[[], asyncio.Protocol]) -> None:
        self._connections = connections
        self._make = make
        self._inner: asyncio.Protocol | None = None
        self._place: str | None = None
        self._said = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._place = self._connections.enter(str(peer[0]) if peer else "unknown")
        if self._place is None:
            self._transport.write(_FULL)
            self._transport.close()
            return
        self._connections.silent[self] = None
        self._timer = asyncio.get_running_loop().call_later(self._connections.header_seconds, self._late)

    def request_received(self) -> None:
        """The first request's headers are here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        self._connections.end("headers")
        self.abort()

    def abort(self) -> None:
        """End it, whatever it wants."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)
        elif self._said:
            self._said += data
        elif self._place is not None:
            self._said = data
            if self._connections.turns.take(self):
                self.begin()
            else:
                self._transport.pause_reading()

    def begin(self) -> None:
        """It is its turn; nothing happens if it has gone, or has begun."""
        said, self._said = self._said, b""
        if said and not self._transport.is_closing():
            del self._connections.silent[self]
            self._inner = self._make()
            self._inner.connection_made(self._transport)
            self._transport.resume_reading()
            self._inner.data_received(said)

    def eof_received(self) -> bool | None:
        self.begin()
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.request_received()
        self._said = b""
        if self._place is not None:
            self._connections.silent.pop(self, None)
            self._connections.leave(self._place)
        if self._inner is not None:
            self._inner.connection_lost(exc)


def request_received(request: web.Request) -> None:
    """A request has come on its connection; safe to repeat."""
    connection = request.transport and request.transport.get_protocol()
    if isinstance(connection, _Connection):
        connection.request_received()


def allow_open_files() -> int | None:
    """Let this process open as many files as the system lets it; how many that are, None where nobody knows."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for count in _FILES:
        wanted = count if hard == resource.RLIM_INFINITY else min(hard, count)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
