"""What paho takes for its socket: it reads ahead, and takes the PUBLISHes out of what paho sees.

paho reads a packet in three system calls, and aiomqtt lets it read one packet each time the event loop finds the socket
readable. Here one system call takes all that has come.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

from bridge.sources.mqtt.publish_parser import Publish, PublishParser

READ_BYTES = 256 * 1024
_RECORD_BYTES = 16 * 1024  # the most that one TLS record carries: less could leave some where the event loop does not see it


class ReadAheadSocket:
    """A connected socket, plain or TLS. Made in the thread that connects, read only in the event loop's."""

    def __init__(self, inner: socket.socket, stream: PublishParser, sink: Callable[[list[Publish]], None]) -> None:
        """`sink` is called after every read with the PUBLISHes that it completed, in order; often none. It must not raise."""
        self._inner = inner
        self._stream = stream
        self._sink = sink
        self._rest = b""  # whole packets for paho
        self._at = 0  # how much of them it has

    def recv(self, size: int) -> bytes:
        """The next bytes for paho, at most `size`; none at the end of the connection.

        Raises BlockingIOError when there are none now, and whatever the socket's own `recv` raises.
        """
        if self._at == len(self._rest):
            self._rest, self._at = self._read(), 0
        begin = self._at
        self._at = min(begin + size, len(self._rest))
        return self._rest[begin : self._at]

    def _read(self) -> bytes:
        arrived = self._received()
        published, rest = self._stream.feed(arrived)
        self._sink(published)
        if arrived and not rest:
            raise BlockingIOError
        return rest

    def _received(self) -> bytes:
        if isinstance(self._inner, ssl.SSLSocket):
            return b"".join(_records(self._inner))
        return self._inner.recv(READ_BYTES)

    def pending(self) -> int:
        """How much waits for paho here, where the event loop does not see it: aiomqtt, which knows this of TLS, reads on."""
        return len(self._rest) - self._at

    def send(self, data: bytes | bytearray) -> int:
        """As the socket's own."""
        return self._inner.send(data)

    def setblocking(self, flag: bool) -> None:
        """As the socket's own."""
        self._inner.setblocking(flag)

    def fileno(self) -> int:
        """As the socket's own."""
        return self._inner.fileno()

    def close(self) -> None:
        """As the socket's own."""
        self._inner.close()


def _records(inner: ssl.SSLSocket) -> Iterator[bytes]:
    """What has come over TLS. mosquitto makes a record of every packet: 12 µs a message, 70 when the event loop reads each."""
    left = READ_BYTES
    record = inner.recv(_RECORD_BYTES)
    while record:
        yield record
        left -= len(record)
        if left <= 0:
            return
        try:
            record = inner.recv(_RECORD_BYTES)
        except OSError:  # nothing more for now, or the end of the connection, which comes again when this has been taken
            return
