"""The bus over Redis Pub/Sub: a channel, two connections. redis-py is an extra and imported only here."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.cluster.bus import SEND_LIMIT_BYTES, OnMessage, ReconnectingBus
from bridge.cluster.envelope import MESSAGE_LIMIT_BYTES
from bridge.core.errors import BusUnavailable, SettingsError

if TYPE_CHECKING:
    from redis.asyncio import Connection, Redis
    from redis.asyncio.client import PubSub

_CONNECT_SECONDS = 2.5
_ANSWER_SECONDS = 5.0  # for a write or an answer
_PING_SECONDS = 5.0  # without a message; the server may have stopped
_AT_ONCE = 64  # messages in one write, and their bytes
_AT_ONCE_BYTES = 1024 * 1024
_CLOSE_SECONDS = 1.0
_DEFAULT_PORT = 6379
_SCHEMES = ("redis", "rediss")
_PONG = "pong"
_MESSAGE = "message"


def redis_bus(url: str, channel: str, *, send_limit_bytes: int = SEND_LIMIT_BYTES) -> ReconnectingBus:
    """Return a bus over `redis://user:password@host:port`, or `rediss://` for TLS.

    Options of redis-py may follow the URL, as `?ssl_ca_certs=/etc/ca.pem`. Raises `SettingsError` if redis-py is not installed
    or the URL is not valid; its text never contains the URL.
    """
    library = _library()
    address = _address(url)
    try:
        _client(library, url)
    except (ValueError, TypeError, OSError) as error:
        raise SettingsError(f"the bus at {address}: redis-py refuses the options of the URL ({type(error).__name__})") from None
    connect = partial(_redis_bus_connection, library, url, channel)
    return ReconnectingBus(address, connect, send_limit_bytes=send_limit_bytes)


class RedisBusConnection:
    """Publishes over one connection and is subscribed over another."""

    message_limit_bytes = MESSAGE_LIMIT_BYTES

    def __init__(self, publishing: "Connection", pubsub: "PubSub", channel: str, on_message: OnMessage) -> None:
        self._publishing = publishing
        self._pubsub = pubsub
        self._channel = channel
        self._on_message = on_message
        self._waiting: deque[bytes] = deque()
        self._is_waiting = asyncio.Event()
        self.waiting_bytes = 0

    def send(self, data: bytes) -> None:
        self._waiting.append(data)
        self.waiting_bytes += len(data)
        self._is_waiting.set()

    async def receive(self) -> None:
        """Receive and send until one of the connections fails."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(), name="bus send")
            # In the body: Python 3.11 leaves this task marked as cancelled if a child fails while the group only waits.
            await tasks.create_task(self._receive(), name="bus receive")

    async def _receive(self) -> None:
        """Raises `TimeoutError` if the server does not answer a PING."""
        is_asked = False
        while True:
            message = await self._pubsub.get_message(timeout=_ANSWER_SECONDS if is_asked else _PING_SECONDS)
            if message is not None:
                is_asked = False
                if message["type"] == _MESSAGE:
                    self._on_message(message["data"])
            elif is_asked:
                raise TimeoutError(f"no answer within {_ANSWER_SECONDS:g} s")
            else:
                await self._pubsub.ping()
                is_asked = True

    async def _send(self) -> None:
        while True:
            await self._is_waiting.wait()
            self._is_waiting.clear()
            while self._waiting:
                await self._send_some()

    async def _send_some(self) -> None:
        batch: list[bytes] = []
        size = 0
        while self._waiting and len(batch) < _AT_ONCE and size < _AT_ONCE_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1])
        packed = self._publishing.pack_commands([("PUBLISH", self._channel, data) for data in batch])
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._publishing.send_packed_command(packed)
            for _ in batch:
                await self._publishing.read_response()
        self.waiting_bytes -= size


@asynccontextmanager
async def _redis_bus_connection(
    library: ModuleType, url: str, channel: str, on_message: OnMessage
) -> AsyncIterator[RedisBusConnection]:
    """Connect and subscribe. Raises `BusUnavailable`, also when a connection ends."""
    client = _client(library, url)
    publishing: Connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    pubsub = client.pubsub()
    failures = (library.exceptions.RedisError, OSError, ValueError)  # ValueError: an answer that is not one of Redis
    reasons: list[BaseException] = []
    transports: list[asyncio.WriteTransport] = []
    try:
        async with asyncio.timeout(_CONNECT_SECONDS + _ANSWER_SECONDS):
            await publishing.connect()  # type: ignore[no-untyped-call]
            await pubsub.subscribe(channel)
        transports += filter(None, map(_transport, (publishing, pubsub.connection)))
        yield RedisBusConnection(publishing, pubsub, channel, on_message)
    except* failures as group:
        reasons += group.exceptions
    finally:
        for transport in transports:
            transport.abort()
        with suppress(*failures, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await publishing.disconnect(nowait=True)
                await pubsub.aclose()  # type: ignore[no-untyped-call]
                await client.aclose()
    if reasons:
        raise BusUnavailable(_reason(reasons[0])) from reasons[0]


def _transport(connection: object) -> asyncio.WriteTransport | None:
    """Return the transport, to close it at once: redis-py closes it only after what waits is written, if the server reads."""
    writer = getattr(connection, "_writer", None)
    return writer.transport if isinstance(writer, asyncio.StreamWriter) else None


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _client(library: ModuleType, url: str) -> "Redis":
    """Return a client that does not retry by itself."""
    client: Redis = library.asyncio.Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        retry=library.asyncio.retry.Retry(library.backoff.NoBackoff(), 0),
        client_name="sensor-bridge",
        protocol=2,
    )
    return client


def _address(url: str) -> str:
    """Return the URL without credentials and options. Raises `SettingsError`."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.fragment or "@" in f"{parts.path}{parts.query}":
        raise SettingsError(
            "the URL of the bus is not valid: expected redis://user:password@host:6379, or rediss:// for TLS, with special "
            "characters in user and password percent-encoded"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def _library() -> ModuleType:
    try:
        import redis.asyncio
        import redis.asyncio.retry
        import redis.backoff
        import redis.exceptions
    except ImportError:
        raise SettingsError("the bus over Redis needs redis-py: pip install 'sensor-bridge[redis]'") from None
    return redis
