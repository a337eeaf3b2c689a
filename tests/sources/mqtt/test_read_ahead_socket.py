"""The socket that keeps the messages from paho: what each side gets, and when there is nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from bridge.sources.mqtt.publish_parser import Publish, PublishParser
from bridge.sources.mqtt.read_ahead_socket import READ_BYTES, ReadAheadSocket

PINGRESP, SUBACK = b"\xd0\x00", b"\x90\x03\x00\x01\x01"
MESSAGE, MESSAGE_PACKET = Publish("t", b"hello", 0, 0, retained=False), b"\x30\x08\x00\x01thello"


class Line:
    """A connection with the broker's end and a tapped one."""

    def __init__(self) -> None:
        inner, self.broker = socket.socketpair()
        self.taken: list[Publish] = []
        self.reads = 0
        self.tapped = ReadAheadSocket(inner, PublishParser(properties=False), self._take)
        self.tapped.setblocking(False)

    def _take(self, published: list[Publish]) -> None:
        self.taken += published
        self.reads += 1

    def received(self) -> bytes:
        """What paho gets, in its own small sips, until there is no more."""
        got = b""
        try:
            while sip := self.tapped.recv(1):
                got += sip
        except BlockingIOError:
            assert not self.tapped.pending()
        return got


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.tapped.close()
    line.broker.close()


def test_messages_go_to_the_sink_and_all_else_to_paho(line: Line) -> None:
    line.broker.sendall(SUBACK + MESSAGE_PACKET * 3 + PINGRESP + MESSAGE_PACKET)
    assert line.received() == SUBACK + PINGRESP
    assert line.taken == [MESSAGE] * 4


def test_everything_that_has_come_is_read_at_once(line: Line) -> None:
    line.broker.sendall(MESSAGE_PACKET * 500)
    with pytest.raises(BlockingIOError):
        line.tapped.recv(1)
    assert (len(line.taken), line.reads) == (500, 1)


def test_it_says_how_much_it_holds_back(line: Line) -> None:
    line.broker.sendall(SUBACK + PINGRESP)
    assert line.tapped.pending() == 0
    assert line.tapped.recv(1) == SUBACK[:1]
    assert line.tapped.pending() == len(SUBACK + PINGRESP) - 1
    assert line.tapped.recv(100) == (SUBACK + PINGRESP)[1:]
    assert line.tapped.pending() == 0


def test_when_nothing_has_come_it_blocks_like_any_socket(line: Line) -> None:
    with pytest.raises(BlockingIOError):
        line.tapped.recv(1)
    assert line.reads == 0


def test_the_end_is_told_after_all_that_came_before_it(line: Line) -> None:
    line.broker.sendall(MESSAGE_PACKET + PINGRESP + MESSAGE_PACKET[:5])
    line.broker.close()
    assert line.received() == PINGRESP
    assert line.taken == [MESSAGE]
    assert line.tapped.recv(1) == b""


def test_every_read_is_told_though_it_completes_no_message(line: Line) -> None:
    for piece in (MESSAGE_PACKET[:1], MESSAGE_PACKET[1:5], MESSAGE_PACKET[5:]):
        line.broker.sendall(piece)
        line.received()
    assert (line.taken, line.reads) == ([MESSAGE], 3)


def test_one_read_takes_no_more_than_its_share(line: Line) -> None:
    line.broker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ_BYTES)
    line.broker.setblocking(False)
    sent = line.broker.send(MESSAGE_PACKET * (2 * READ_BYTES // len(MESSAGE_PACKET)))
    with pytest.raises(BlockingIOError):
        line.tapped.recv(1)
    assert len(line.taken) <= READ_BYTES // len(MESSAGE_PACKET)
    while len(line.taken) < sent // len(MESSAGE_PACKET):
        line.received()


def test_what_paho_sends_goes_out_as_it_is(line: Line) -> None:
    assert line.tapped.send(PINGRESP) == 2
    assert line.broker.recv(10) == PINGRESP
    assert line.tapped.fileno() > 0
