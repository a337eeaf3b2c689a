"""Limits of TCP connections: how many per address, how long until the first request, and how many start at once.

aiohttp has none of these limits: it keeps a silent connection as long as an idle one, and starts a thousand simultaneous ones
at once while all other clients wait. So a protocol stands between each transport and aiohttp's, using public names only:
`get_protocol` of a transport.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from aiohttp import web

from bridge.core.rate_limit_key import rate_limit_key
from bridge.http.proxies import client_address, is_trusted
from bridge.settings import HttpSettings, RealtimeSettings

_FILE_LIMITS = (1_048_576, 65_536, 10_240)  # in order of preference; macOS allows fewer than it reports
_STARTS_PER_TURN = 4
_DISCARD_SECONDS = 2.0
_DISCARD_PAUSE_SECONDS = 0.01
"""Between two reads of at most 256 KB each, so that 100 such connections take a few percent of the loop's time."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connections:
    """The open connections by address. Trusted proxies are not counted: they connect for others."""

    def __init__(self, settings: HttpSettings, realtime: RealtimeSettings) -> None:
        """The limit per address is that of its realtime clients, and some more for requests."""
        self.limit = realtime.max_clients_per_address + settings.connections_per_address
        self.accepted = 0
        self.ended: dict[str, int] = {}
        """Connections closed by the bridge, by reason."""
        self.throttle = AcceptThrottle()
        self.silent: dict[_Connection, None] = {}
        """Connections that have sent nothing yet and are unknown to aiohttp."""
        self._settings = settings
        self._by_address: dict[str, int] = {}

    def limit_by_files(self, files: int | None) -> None:
        """Limit one address to three quarters of the files that may be open; None for no limit."""
        if files is not None:
            self.limit = max(1, min(self.limit, files * 3 // 4))

    def factory(self, create: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Return the protocol factory for a server; `create` is that of aiohttp's protocols."""
        return lambda: _Connection(self, create)

    @property
    def header_seconds(self) -> float:
        """How long the first request's headers may take."""
        return self._settings.header_seconds

    def enter(self, peer: str) -> str | None:
        """Count a connection and return the key for `leave`, empty if it is not counted; None if there are too many."""
        self.accepted += 1
        if is_trusted(peer, self._settings.trusted_proxies):
            return ""
        key = rate_limit_key(client_address(peer, "", ()))
        if self._by_address.get(key, 0) >= self.limit:
            self.count_ended("address")
            return None
        self._by_address[key] = self._by_address.get(key, 0) + 1
        return key

    def leave(self, key: str) -> None:
        """Count a connection that has ended."""
        if not key:
            return
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]

    def close(self) -> None:
        for connection in tuple(self.silent):
            connection.abort()

    def discard(self, request: web.BaseRequest, reason: str) -> None:
        """Drop what follows a request that is answered before its body was read, and count its connection as ended."""
        connection = request.transport and request.transport.get_protocol()
        if isinstance(connection, _Connection):
            connection.request_received()
            connection.discard()
        self.count_ended(reason)

    def count_ended(self, reason: str) -> None:
        self.ended[reason] = self.ended.get(reason, 0) + 1


class AcceptThrottle:
    """Starts a few connections in each turn of the event loop, in the order of their first bytes.

    Between two turns the loop serves all other clients: while 1,000 clients connect at once, readings are 10 to 25 ms late
    instead of 90 to 150.
    """

    def __init__(self) -> None:
        self._started = 0
        self._waiting: deque[_Connection] = deque()

    def admit(self, connection: "_Connection") -> bool:
        """Whether a connection may start now; otherwise its `start` is called later."""
        if not self._started:
            asyncio.get_running_loop().call_soon(self._next)
        if self._started < _STARTS_PER_TURN:
            self._started += 1
            return True
        self._waiting.append(connection)
        return False

    def _next(self) -> None:
        self._started = min(len(self._waiting), _STARTS_PER_TURN)
        if self._started:  # scheduled first: a connection that fails must not block the others
            asyncio.get_running_loop().call_soon(self._next)
        for _ in range(self._started):
            self._waiting.popleft().start()


class _Connection(asyncio.Protocol):
    """Between a transport and aiohttp's protocol, which is created when the connection starts; reading pauses until then."""

    __slots__ = ("_connections", "_create", "_discards", "_inner", "_key", "_received", "_timer", "_transport")

    def __init__(self, connections: Connections, create: Callable[[], asyncio.Protocol]) -> None:
        self._connections = connections
        self._create = create
        self._inner: asyncio.Protocol | None = None
        self._key: str | None = None
        self._received = b""
        self._discards = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._key = self._connections.enter(str(peer[0]) if peer else "unknown")
        if self._key is None:
            self._transport.write(_FULL)
            self._transport.close()
            return
        self._connections.silent[self] = None
        self._timer = asyncio.get_running_loop().call_later(self._connections.header_seconds, self._on_timeout)

    def request_received(self) -> None:
        """The headers of the first request have arrived."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        self._connections.count_ended("headers")
        self.abort()

    def abort(self) -> None:
        self._transport.abort()

    def discard(self) -> None:
        """Drop whatever follows, slowly, and close soon: a client that is sending must be able to read the answer first."""
        self._discards = True
        self._timer = asyncio.get_running_loop().call_later(_DISCARD_SECONDS, self._transport.close)

    def data_received(self, data: bytes) -> None:
        if self._discards:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_DISCARD_PAUSE_SECONDS, self._resume)
        elif self._inner is not None:
            self._inner.data_received(data)
        elif self._received:
            self._received += data
        elif self._key is not None:
            self._received = data
            if self._connections.throttle.admit(self):
                self.start()
            else:
                self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def start(self) -> None:
        """Hand the connection to aiohttp; do nothing if it has ended or was started before."""
        received, self._received = self._received, b""
        if received and not self._transport.is_closing():
            del self._connections.silent[self]
            self._inner = self._create()
            self._inner.connection_made(self._transport)
            self._transport.resume_reading()
            self._inner.data_received(received)

    def eof_received(self) -> bool | None:
        self.start()
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.request_received()
        self._received = b""
        if self._key is not None:
            self._connections.silent.pop(self, None)
            self._connections.leave(self._key)
        if self._inner is not None:
            self._inner.connection_lost(exc)


def request_received(request: web.BaseRequest) -> None:
    """Stop the timer of a request's connection; safe to repeat."""
    connection = request.transport and request.transport.get_protocol()
    if isinstance(connection, _Connection):
        connection.request_received()


def allow_open_files() -> int | None:
    """Raise the process's limit of open files as far as possible and return it; None if it is unlimited or unknown."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for count in _FILE_LIMITS:
        target = count if hard == resource.RLIM_INFINITY else min(hard, count)
        if soft == resource.RLIM_INFINITY or soft >= target:
            break
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            break
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
