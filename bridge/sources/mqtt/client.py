"""aiomqtt clients from the settings, and a sender for commands that need no session. The session is in `connection.py`."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from typing import Any, cast

import aiomqtt
from paho.mqtt.client import Client as PahoClient

from bridge.core.errors import BrokerUnavailable, UnsupportedLibrary
from bridge.settings import MqttSettings
from bridge.sources.mqtt.diagnosis import diagnose
from bridge.sources.mqtt.paced_reads import PacedReads

SENDER_WINDOW = 500
"""How many messages of a sender may be unacknowledged at once."""

# Without Nagle's algorithm: with it a PUBACK can wait 40 ms for the peer's delayed TCP ACK.
SOCKET_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_REFUSED = 0x80  # the first of the SUBACK reason codes that are refusals
_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}

_SOCKET_ERRORS = ("failed to receive on socket", "failed to send on socket", "Could not gracefully disconnect")
_library_log = logging.getLogger(__name__)
_library_log.addFilter(lambda record: not str(record.msg).startswith(_SOCKET_ERRORS))  # the end of the connection is reported


def new_client(settings: MqttSettings, client_id: str | None, **session: Any) -> aiomqtt.Client:  # noqa: ANN401
    """Return an unconnected client with more arguments of aiomqtt. Raises `BrokerUnavailable` if a TLS file cannot be read."""
    username, password = settings.login
    try:
        tls_context = settings.tls_context
    except OSError as error:
        raise BrokerUnavailable(str(error), "correct the setting or the file") from error
    client = aiomqtt.Client(
        settings.host,
        settings.port,
        username=username,
        password=password,
        identifier=client_id,
        protocol=_PROTOCOLS[settings.protocol],
        keepalive=settings.keepalive_seconds,
        timeout=settings.timeout_seconds,
        tls_context=tls_context,
        transport="tcp" if settings.websocket_path is None else "websockets",
        websocket_path=settings.websocket_path,
        socket_options=SOCKET_OPTIONS,
        logger=_library_log,
        **session,
    )
    _ignore_closed_sockets(client)
    return client


class OpenSocketLoop:
    """The event loop for aiomqtt, which asks it to watch sockets that may be closed before it does.

    aiomqtt schedules `add_writer` with the number of a socket: under load the socket is closed by then, and the log has a
    traceback (EBADF), or the number is another socket's. Here a number that is not the client's own socket is not watched.
    The client's own is read by `PacedReads`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, paho: PahoClient) -> None:
        self._loop = loop
        self._paho = paho
        self._watch = (loop.add_reader, loop.add_writer)
        self.reads = PacedReads(loop, self._is_open)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the loop's
        return getattr(self._loop, name)

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: Any) -> asyncio.Handle:  # noqa: ANN401
        if callback in self._watch:
            return self._loop.call_soon_threadsafe(self._watch_open, callback, *arguments)
        return self._loop.call_soon_threadsafe(callback, *arguments)

    def _watch_open(self, watch: Callable[..., object], number: int, callback: Callable[[], None]) -> None:
        if not self._is_open(number):
            return
        try:
            if watch == self._loop.add_reader:
                self.reads.watch(number, callback)
            else:
                watch(number, callback)
        except OSError as error:  # closed in the thread that connects
            if error.errno != errno.EBADF:
                raise

    def _is_open(self, number: int) -> bool:
        sock: Any = self._paho.socket()
        return sock is not None and number >= 0 and sock.fileno() == number


def _ignore_closed_sockets(client: aiomqtt.Client) -> None:
    """Give aiomqtt an `OpenSocketLoop`. Raises `UnsupportedLibrary` if aiomqtt has renamed its loop."""
    loop = getattr(client, "_loop", None)
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise UnsupportedLibrary(f"mqtt: unsupported aiomqtt {version('aiomqtt')}: install aiomqtt<3")
    client._loop = cast("asyncio.AbstractEventLoop", OpenSocketLoop(loop, paho_client(client)))  # noqa: SLF001


def paced_reads(client: aiomqtt.Client) -> PacedReads:
    """Return what calls the read callback of a client made by `new_client`."""
    return cast("OpenSocketLoop", client._loop).reads  # noqa: SLF001


def paho_client(client: aiomqtt.Client) -> PahoClient:
    """Return the paho client inside an aiomqtt client. Raises `UnsupportedLibrary` if aiomqtt has renamed it."""
    try:
        return client._client  # noqa: SLF001
    except AttributeError:
        raise UnsupportedLibrary(f"mqtt: unsupported aiomqtt {version('aiomqtt')}: install aiomqtt<3") from None


def note_end(client: aiomqtt.Client) -> None:
    """Retrieve the error that ended a connection. If nothing waited for it, asyncio would log that it was never retrieved."""
    ended = getattr(client, "_disconnected", None)
    if isinstance(ended, asyncio.Future) and ended.done() and not ended.cancelled():
        ended.exception()


async def connect(client: aiomqtt.Client, settings: MqttSettings) -> None:
    """Connect. If cancelled meanwhile, finish connecting and disconnect: aiomqtt would leave its socket open.

    The timeout is short and separate: aiomqtt does not notice that the peer hangs up before the CONNACK.
    """
    client.timeout = paho_client(client).connect_timeout = settings.connect_timeout_seconds
    connecting = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with suppress(aiomqtt.MqttError, OSError, ValueError):
            await connecting
            await client.__aexit__(None, None, None)
        raise
    client.timeout = settings.timeout_seconds


def raise_if_cancelled() -> None:
    """Raise a cancellation that was lost.

    Python 3.11's `asyncio.wait_for`, which aiomqtt uses, loses a cancellation that arrives together with the result, and
    `TaskGroup` loses one that arrives together with the error of a task.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def connected_client(
    settings: MqttSettings,
    client_id: str | None,
    *,
    prepare: Callable[[aiomqtt.Client], None] = lambda _: None,
    **session: Any,  # noqa: ANN401
) -> AsyncIterator[aiomqtt.Client]:
    """Connect without a session, with MQTT 3.1.1 if the broker supports no other: then without `properties`.

    `prepare` is called with each client before it connects.
    Raises `BrokerUnavailable` with the broker's address; its text explains why the connection failed or ended.
    """
    client = new_client(settings, client_id, **session)
    client.pending_calls_threshold = SENDER_WINDOW
    prepare(client)
    try:
        await connect(client, settings)
    except (aiomqtt.MqttError, OSError) as error:
        failure = BrokerUnavailable(str(error))
        failure.__cause__ = error
        diagnosis = await diagnose(failure, settings)
        if not diagnosis.only_311:
            raise BrokerUnavailable(f"{settings.address}: {diagnosis.fault}", diagnosis.remedy) from error
    else:
        try:
            yield client
        except (aiomqtt.MqttError, OSError) as error:
            raise BrokerUnavailable(f"{settings.address}: {error}") from error
        finally:
            await _disconnect(client)
        return
    oldest, session = settings.model_copy(update={"protocol": "3.1.1"}), session | {"properties": None}
    async with connected_client(oldest, client_id, prepare=prepare, **session) as client:
        yield client


async def _disconnect(client: aiomqtt.Client) -> None:
    with suppress(aiomqtt.MqttError, OSError):
        await client.__aexit__(None, None, None)
    note_end(client)


@asynccontextmanager
async def mqtt_sender(settings: MqttSettings, client_id: str | None = None) -> "AsyncIterator[MqttSender]":
    """Connect without a session, to publish. Raises `BrokerUnavailable`."""
    async with connected_client(settings, client_id, max_inflight_messages=SENDER_WINDOW) as client:
        yield MqttSender(client, settings.address)


class MqttSender:
    """Publishes and subscribes on a connected client. Every method raises `BrokerUnavailable`."""

    def __init__(self, client: aiomqtt.Client, address: str) -> None:
        """`address` is for error messages."""
        self._client = client
        self._address = address

    @property
    def protocol(self) -> str:
        """The MQTT version of the connection, as in the settings."""
        return next(name for name, level in _PROTOCOLS.items() if int(level) == int(paho_client(self._client).protocol))

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish; with QoS 1, return when the broker has acknowledged it."""
        with self._translated():
            await self._client.publish(topic, payload, qos, retain)

    async def subscribe(self, topic: str, qos: int = 1) -> str:
        """Subscribe; return the broker's reason if it refuses, else nothing."""
        with self._translated():
            return refusal_of(await self._client.subscribe(topic, qos=qos))

    async def arrived(self) -> AsyncIterator[bytes]:
        """Yield the payloads of the subscriptions until the connection ends."""
        with self._translated():
            async for message in self._client.messages:
                yield message.payload

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (aiomqtt.MqttError, OSError) as error:
            raise BrokerUnavailable(f"{self._address}: {error}") from error


def refusal_of(granted: Iterable[Any]) -> str:
    """Return the reason of a SUBACK that refuses; nothing for one that grants."""
    return next((str(code) for code in granted if getattr(code, "value", code) >= _REFUSED), "")


async def first_message(settings: MqttSettings, topic: str, seconds: float) -> tuple[str, bytes] | None:
    """Topic and payload of the first message that matches a filter; None after `seconds`. Raises `BrokerUnavailable`."""
    async with connected_client(settings, None) as client:
        if refusal := refusal_of(await client.subscribe(topic)):
            raise BrokerUnavailable(f"{settings.address}: the subscription to {topic} is refused ({refusal})")
        try:
            async with asyncio.timeout(seconds):
                message = await anext(aiter(client.messages))
        except TimeoutError:
            return None
    return message.topic.value, message.payload
