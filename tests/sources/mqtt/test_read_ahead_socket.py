"""The read-ahead socket: what the sink and paho receive, and when there is nothing to read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import CallbackAPIVersion, MessageType

from bridge.sources.mqtt.publish_parser import Publish, PublishParser, pubacks
from bridge.sources.mqtt.read_ahead_socket import READ_BYTES, ReadAheadSocket, send_pubacks

PINGRESP, SUBACK = b"\xd0\x00", b"\x90\x03\x00\x01\x01"
MESSAGE, MESSAGE_PACKET = Publish("t", b"hello", 0, 0, retained=False), b"\x30\x08\x00\x01thello"


class Line:
    """A connection with the broker's end and a read-ahead end."""

    def __init__(self) -> None:
        inner, self.broker = socket.socketpair()
        self.taken: list[Publish] = []
        self.reads = 0
        self.socket = ReadAheadSocket(inner, PublishParser(properties=False), self._take)
        self.socket.setblocking(False)

    def _take(self, published: list[Publish]) -> None:
        self.taken += published
        self.reads += 1

    def received(self) -> bytes:
        """What paho receives in reads of one byte, until there is no more."""
        received = b""
        try:
            while byte := self.socket.recv(1):
                received += byte
        except BlockingIOError:
            assert not self.socket.pending()
        return received


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.socket.close()
    line.broker.close()


def test_messages_go_to_the_sink_and_other_packets_to_paho(line: Line) -> None:
    line.broker.sendall(SUBACK + MESSAGE_PACKET * 3 + PINGRESP + MESSAGE_PACKET)
    assert line.received() == SUBACK + PINGRESP
    assert line.taken == [MESSAGE] * 4


def test_everything_that_has_arrived_is_read_at_once(line: Line) -> None:
    line.broker.sendall(MESSAGE_PACKET * 500)
    with pytest.raises(BlockingIOError):
        line.socket.recv(1)
    assert (len(line.taken), line.reads) == (500, 1)


def test_pending_is_the_number_of_bytes_left_for_paho(line: Line) -> None:
    line.broker.sendall(SUBACK + PINGRESP)
    assert line.socket.pending() == 0
    assert line.socket.recv(1) == SUBACK[:1]
    assert line.socket.pending() == len(SUBACK + PINGRESP) - 1
    assert line.socket.recv(100) == (SUBACK + PINGRESP)[1:]
    assert line.socket.pending() == 0


def test_recv_would_block_when_nothing_has_arrived(line: Line) -> None:
    with pytest.raises(BlockingIOError):
        line.socket.recv(1)
    assert line.reads == 0


def test_end_of_the_connection_follows_everything_received_before(line: Line) -> None:
    line.broker.sendall(MESSAGE_PACKET + PINGRESP + MESSAGE_PACKET[:5])
    line.broker.close()
    assert line.received() == PINGRESP
    assert line.taken == [MESSAGE]
    assert line.socket.recv(1) == b""


def test_sink_is_called_for_reads_that_complete_no_message(line: Line) -> None:
    for piece in (MESSAGE_PACKET[:1], MESSAGE_PACKET[1:5], MESSAGE_PACKET[5:]):
        line.broker.sendall(piece)
        line.received()
    assert (line.taken, line.reads) == ([MESSAGE], 3)


def test_one_read_is_limited_in_size(line: Line) -> None:
    line.broker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ_BYTES)
    line.broker.setblocking(False)
    sent = line.broker.send(MESSAGE_PACKET * (2 * READ_BYTES // len(MESSAGE_PACKET)))
    with pytest.raises(BlockingIOError):
        line.socket.recv(1)
    assert len(line.taken) <= READ_BYTES // len(MESSAGE_PACKET)
    while len(line.taken) < sent // len(MESSAGE_PACKET):
        line.received()


def test_sent_bytes_are_unchanged(line: Line) -> None:
    assert line.socket.send(PINGRESP) == 2
    assert line.broker.recv(10) == PINGRESP
    assert line.socket.fileno() > 0


class Sender:
    """A paho client whose connection, without a handshake, is a read-ahead socket."""

    def __init__(self, line: Line) -> None:
        self.paho = PahoClient(CallbackAPIVersion.VERSION2)
        self.paho._sock = line.socket
        self.watched = 0
        self.paho.on_socket_register_write = self._on_register  # as aiomqtt: otherwise paho writes at once itself
        self._line = line

    def _on_register(self, *_: object) -> None:
        self.watched += 1

    def received(self, number: int) -> bytes:
        """What the broker receives while paho writes what it has queued."""
        received = b""
        while len(received) < number:
            if self.paho.want_write():
                self.paho.loop_write()
            with suppress(BlockingIOError):
                received += self._line.broker.recv(READ_BYTES, socket.MSG_DONTWAIT)
        return received


def test_pubacks_are_sent_at_once_without_watching_the_socket(line: Line) -> None:
    sender = Sender(line)
    send_pubacks(sender.paho, pubacks([1, 2, 3]))
    assert line.broker.recv(100) == pubacks([1, 2, 3])
    assert (sender.watched, sender.paho.want_write()) == (0, False)


def test_pubacks_follow_what_paho_has_queued(line: Line) -> None:
    sender = Sender(line)
    sender.paho._packet_queue(MessageType.PINGREQ, b"\xc0\x00", 0, 0)
    send_pubacks(sender.paho, pubacks([1]))
    assert sender.received(6) == b"\xc0\x00" + pubacks([1])


def test_pubacks_that_the_kernel_has_no_room_for_are_sent_later_in_order(line: Line) -> None:
    sender = Sender(line)
    batches = [pubacks(range(start, start + 20_000)) for start in (1, 20_001, 40_001)] * 5
    for batch in batches:
        send_pubacks(sender.paho, batch)
    assert sender.watched
    assert sender.received(sum(map(len, batches))) == b"".join(batches)


def test_pubacks_on_a_connection_that_has_ended_are_left_to_paho(line: Line) -> None:
    sender = Sender(line)
    line.broker.close()
    send_pubacks(sender.paho, pubacks([1]))
    assert sender.paho.want_write()
