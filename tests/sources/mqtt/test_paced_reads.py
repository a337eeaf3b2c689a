"""Paced reads: when the socket of a connection is read, with a real event loop and a clock that the test sets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from bridge.sources.mqtt.paced_reads import CLUSTER_PAUSES, LARGE, PAUSES, PacedReads, pause_after

PAUSE_SECONDS = max(seconds for seconds, _ in PAUSES)
WAIT_SECONDS = 10.0
LONG_AFTER = 60.0


class Connection:
    """A connection to a broker that sends a byte for each message."""

    def __init__(self) -> None:
        self.own, self.broker = socket.socketpair()
        self.own.setblocking(False)
        self.now = 0.0
        self.taken: list[int] = []
        """Messages of each read that took any."""
        self._changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.reads = PacedReads(loop, lambda descriptor: self.own.fileno() == descriptor, clock=lambda: self.now)
        self.reads.watch(self.own.fileno(), self._read)

    def _read(self) -> None:
        try:
            number = len(self.own.recv(1_000))
        except BlockingIOError:
            return
        self.reads.count(number)
        self.taken.append(number)
        self._changed.set()

    async def receives(self, number: int, after_seconds: float) -> None:
        """Send messages some time after the last ones, and wait until they are read."""
        self.now += after_seconds
        self.broker.sendall(b"m" * number)
        await self.have_been_taken(sum(self.taken) + number)

    async def have_been_taken(self, number: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while sum(self.taken) < number:
                self._changed.clear()
                await self._changed.wait()

    @property
    def is_watched(self) -> bool:
        """Whether the event loop reads the socket as soon as something arrives."""
        loop = asyncio.get_running_loop()
        was_watched = loop.remove_reader(self.own.fileno())
        if was_watched:
            self.reads.watch(self.own.fileno(), self._read)
        return was_watched

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.own.fileno())
        self.own.close()


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    yield connection
    if connection.own.fileno() >= 0:
        connection.close()
    connection.broker.close()


async def test_single_messages_are_read_at_once(connection: Connection) -> None:
    for _ in range(3):
        await connection.receives(1, LONG_AFTER)
        assert connection.is_watched


async def test_a_stream_of_200_messages_a_second_is_never_paused(connection: Connection) -> None:
    for _ in range(20):
        await connection.receives(1, 0.005)
        assert connection.is_watched


async def test_messages_that_follow_closely_share_one_read(connection: Connection) -> None:
    connection.reads.pauses = ((2.0, 2),)  # longer than a busy machine takes for the next lines
    await connection.receives(1, LONG_AFTER)
    await connection.receives(1, 0.001)
    for _ in range(4):
        connection.broker.sendall(b"m")
        await asyncio.sleep(0)
    assert connection.taken == [1, 1]
    connection.now += LONG_AFTER
    await connection.have_been_taken(6)
    assert connection.taken == [1, 1, 4]


@pytest.mark.parametrize(
    ("seconds", "messages", "expected"),
    [
        (0.005, 1, 0.0),
        (0.010, 8, 0.010),
        (0.010, 7, 0.004),
        (0.004, 2, 0.004),
        (0.0, LARGE, 0.010),
        (0.0, LARGE + 1, 0.0),
        (1.0, 0, 0.0),
    ],
)
def test_the_denser_a_stream_is_the_longer_is_a_pause(seconds: float, messages: int, expected: float) -> None:
    assert pause_after(seconds, messages) == expected


@pytest.mark.parametrize(
    ("seconds", "messages", "expected"),
    [(0.0101, 1, 0.0), (0.005, 1, 0.010), (0.010, 2, 0.010), (0.0, LARGE + 1, 0.0), (1.0, 0, 0.0)],
)
def test_in_a_cluster_a_stream_of_200_messages_a_second_is_paused(seconds: float, messages: int, expected: float) -> None:
    assert pause_after(seconds, messages, CLUSTER_PAUSES) == expected


async def test_a_message_after_the_end_of_a_stream_is_read_at_once(connection: Connection) -> None:
    await connection.receives(1, LONG_AFTER)
    await connection.receives(1, 0.001)
    connection.now += LONG_AFTER  # the pause ends without a message
    async with asyncio.timeout(WAIT_SECONDS):
        while not connection.is_watched:
            await asyncio.sleep(0)
    await connection.receives(1, LONG_AFTER)
    assert connection.taken == [1, 1, 1]
    assert connection.is_watched


async def test_reads_of_many_messages_are_not_paused(connection: Connection) -> None:
    await connection.receives(1, LONG_AFTER)
    await connection.receives(LARGE + 1, 0.001)
    assert connection.is_watched


async def test_a_connection_that_closes_in_a_pause_is_not_read_again(connection: Connection) -> None:
    await connection.receives(1, LONG_AFTER)
    await connection.receives(1, 0.001)
    connection.close()
    await asyncio.sleep(2 * PAUSE_SECONDS)
    assert connection.taken == [1, 1]


async def test_the_end_of_the_stream_is_read_after_a_pause(connection: Connection) -> None:
    await connection.receives(1, LONG_AFTER)
    await connection.receives(1, 0.001)
    connection.broker.sendall(b"m")
    connection.broker.close()
    await connection.have_been_taken(3)
    async with asyncio.timeout(WAIT_SECONDS):
        while connection.taken[-1]:
            await asyncio.sleep(0)
