"""The fast path through paho: its socket reads ahead and takes the PUBLISH packets out, and PUBACKs are written as one packet.

paho reads a packet with three system calls, and aiomqtt lets it read one packet each time the event loop finds the socket
readable: 139 to 242 µs a reading, against 38 to 58 µs where one system call takes all that has arrived. paho's private names
are used in this module only; `unsupported_name` compares them with what is expected.
"""

import inspect
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import Any, cast

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import MessageType

from bridge.core.errors import UnsupportedLibrary
from bridge.sources.mqtt.client import SOCKET_OPTIONS
from bridge.sources.mqtt.publish_parser import Publish, PublishParser

READ_BYTES = 256 * 1024
_RECORD_BYTES = 16 * 1024  # the largest TLS record: a smaller read could leave bytes where the event loop does not see them
_PRIVATE_METHODS = {"_create_socket": [], "_packet_queue": ["command", "packet", "mid", "qos", "info"]}
_PRIVATE_ATTRIBUTES = ("_last_bytes_received", "_out_packet")


def unsupported_name(paho: object) -> str | None:
    """Return the first private name of paho's client that is missing or has other parameters; None if the fast path works."""
    for name, parameters in _PRIVATE_METHODS.items():
        method = getattr(paho, name, None)
        if method is None or list(inspect.signature(method).parameters) != parameters:
            return name
    return next((name for name in _PRIVATE_ATTRIBUTES if not hasattr(paho, name)), None)


def read_ahead(paho: PahoClient, sink: Callable[[list[Publish]], None], *, properties: bool, identifiers: bool = False) -> None:
    """Have paho read through a `ReadAheadSocket`; `sink` receives the PUBLISHes. The rest is the parser's."""
    create_socket = paho._create_socket  # noqa: SLF001

    def on_read(published: list[Publish]) -> None:
        # paho tolerates a late PINGRESP only while it sees bytes arrive in front of it.
        paho._last_bytes_received = time.monotonic()  # noqa: SLF001
        if published:
            sink(published)

    def create_read_ahead_socket() -> ReadAheadSocket:
        inner = create_socket()
        websocket = None if isinstance(inner, socket.socket) else WebSocketReader(inner)
        stream = cast("socket.socket", inner) if websocket is None else websocket.stream
        for option in SOCKET_OPTIONS:  # aiomqtt sets its options on real sockets only
            stream.setsockopt(*option)
        parser = PublishParser(properties=properties, identifiers=identifiers)
        return ReadAheadSocket(websocket or stream, parser, on_read)

    paho._create_socket = create_read_ahead_socket  # type: ignore[method-assign]  # noqa: SLF001


def send_pubacks(paho: PahoClient, packets: bytes) -> None:
    """Send several PUBACKs after everything that paho has queued.

    If paho has nothing queued and the kernel has room, they are sent at once: through paho's queue, aiomqtt watches the socket
    for one turn of the event loop, which costs a batch of one reading eight more system calls and two more wake-ups. What is
    left is queued as if it were one packet, which paho writes completely and does not parse.
    """
    sent = 0
    connected = cast("ReadAheadSocket | None", paho.socket())
    if connected is not None and not paho._out_packet:  # noqa: SLF001
        with suppress(OSError):  # no room, or the end of the connection: paho handles both when it writes
            sent = connected.send(packets)
    if sent < len(packets):
        paho._packet_queue(MessageType.PUBACK, packets[sent:], 0, 1)  # noqa: SLF001


class ReadAheadSocket:
    """A connected socket, plain, TLS or WebSocket. Created in the thread that connects, read only in the event loop's."""

    def __init__(
        self, inner: "socket.socket | WebSocketReader", parser: PublishParser, on_read: Callable[[list[Publish]], None]
    ) -> None:
        """`on_read` is called after every read with the PUBLISHes that it completed, often none. It must not raise."""
        self._inner = inner
        self._parser = parser
        self._on_read = on_read
        self._rest = b""  # whole packets for paho
        self._offset = 0  # of the bytes in `_rest` that paho has not read

    def recv(self, size: int) -> bytes:
        """Return the next bytes for paho, at most `size`; empty at the end of the connection.

        Raises `BlockingIOError` if there are none now, and whatever the socket's own `recv` raises.
        """
        if self._offset == len(self._rest):
            self._rest, self._offset = self._read(), 0
        begin = self._offset
        self._offset = min(begin + size, len(self._rest))
        return self._rest[begin : self._offset]

    def _read(self) -> bytes:
        data = _read_all(self._inner)
        published, rest = self._parser.feed(data)
        self._on_read(published)
        if data and not rest:
            raise BlockingIOError
        return rest

    def pending(self) -> int:
        """Bytes for paho that the event loop does not see: aiomqtt, which expects this of TLS sockets, continues to read."""
        return len(self._rest) - self._offset

    def send(self, data: bytes | bytearray) -> int:
        return self._inner.send(data)

    def setblocking(self, flag: bool) -> None:
        self._inner.setblocking(flag)

    def fileno(self) -> int:
        return self._inner.fileno()

    def close(self) -> None:
        self._inner.close()


class WebSocketReader:
    """paho's WebSocket. It reads a frame with three or four calls of `recv`, which are served from memory here."""

    def __init__(self, websocket: Any) -> None:  # noqa: ANN401 - private class of paho
        """Take over the socket of a connected WebSocket. Raises `UnsupportedLibrary` if paho has renamed it."""
        stream = getattr(websocket, "_socket", None)
        if not isinstance(stream, socket.socket):
            raise UnsupportedLibrary(f"mqtt: WebSockets: unsupported paho-mqtt {version('paho-mqtt')}: use mqtt:// or mqtts://")
        self.stream = stream
        self._arrived = ArrivedBytes(stream)
        self._websocket = websocket
        self._websocket._socket = self._arrived  # noqa: SLF001
        self._ended = False

    def recv(self) -> bytes:
        """Return the payloads of all frames that have arrived; empty at the end of the connection.

        Raises `BlockingIOError` if there are none now.
        """
        self._ended = self._ended or not self._arrived.fill()
        payloads: list[bytes] = []
        while self._arrived.unread and not self._ended:
            try:
                payloads.append(self._websocket.recv(READ_BYTES))
            except BlockingIOError:  # a control frame, or the beginning of a frame
                continue
            self._ended = not payloads[-1]
        if not payloads and not self._ended:
            raise BlockingIOError
        return b"".join(payloads)

    def send(self, data: bytes | bytearray) -> int:
        return int(self._websocket.send(data))

    def setblocking(self, flag: bool) -> None:
        self.stream.setblocking(flag)

    def fileno(self) -> int:
        return self.stream.fileno()

    def close(self) -> None:
        self.stream.close()


class ArrivedBytes:
    """What has arrived on a socket, as a socket for paho's WebSocket to read from."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._bytes = b""
        self._offset = 0

    @property
    def unread(self) -> int:
        return len(self._bytes) - self._offset

    def fill(self) -> int:
        """Read what has arrived; return its length, 0 at the end. Raises what the socket raises, as if nothing has arrived."""
        self._bytes, self._offset = _read_all(self._stream), 0
        return len(self._bytes)

    def recv(self, size: int) -> bytes:
        if not self.unread:
            raise BlockingIOError
        begin = self._offset
        self._offset = min(begin + size, len(self._bytes))
        return self._bytes[begin : self._offset]

    def send(self, data: bytes | bytearray) -> int:
        return self._stream.send(data)


def _read_all(inner: "socket.socket | WebSocketReader") -> bytes:
    """Read what has arrived, about `READ_BYTES` at most; empty at the end of the connection."""
    if isinstance(inner, WebSocketReader):
        return inner.recv()
    return b"".join(_tls_records(inner)) if isinstance(inner, ssl.SSLSocket) else inner.recv(READ_BYTES)


def _tls_records(inner: ssl.SSLSocket) -> Iterator[bytes]:
    """Read all TLS records that have arrived. mosquitto sends one per packet: 12 µs a message, 70 with a loop turn for each."""
    remaining = READ_BYTES
    record = inner.recv(_RECORD_BYTES)
    while record:
        yield record
        remaining -= len(record)
        if remaining <= 0:
            return
        try:
            record = inner.recv(_RECORD_BYTES)
        except OSError:  # nothing more for now, or the end of the connection, which the next read reports
            return
