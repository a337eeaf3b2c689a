"""What is written to a client that reads slowly: in order, bounded where it waits, and all of it, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from bridge.realtime.frames import close_frame, text_frame
from bridge.realtime.websocket.write_buffer import TRANSPORT_BYTES
from bridge.realtime.websocket.writer import FrameWriter

FRAMES = [text_frame(b"%06d" % n + b"." * 400) for n in range(5000)]
ALL = b"".join(FRAMES)


class Peer:
    """Both ends of a connection: what we write with, and a client's socket that nobody reads."""

    def __init__(self, wire: FrameWriter, protocol: Ours, theirs: socket.socket) -> None:
        self.wire = wire
        self.protocol = protocol
        self._theirs = theirs

    async def read(self, count: int) -> bytes:
        """So many bytes, or what there is until the end."""
        loop, read = asyncio.get_running_loop(), bytearray()
        async with asyncio.timeout(20):
            while len(read) < count and (more := await loop.sock_recv(self._theirs, count - len(read))):
                read += more
        return bytes(read)

    async def say(self, text: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._theirs, text)

    def hang_up(self) -> None:
        self._theirs.close()


class Ours(asyncio.Protocol):
    """What aiohttp's is: fed with what comes, and told of pauses."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.heard = asyncio.Event()
        self.lost = asyncio.Event()
        self.paused = False

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.heard.set()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost.set()


@asynccontextmanager
async def connected() -> AsyncIterator[Peer]:
    ours, theirs = socket.socketpair()
    for one in (ours, theirs):
        one.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_connection(Ours, sock=ours)
    try:
        yield Peer(FrameWriter(transport, deflates=False), protocol, theirs)
    finally:
        transport.abort()
        theirs.close()
        await protocol.lost.wait()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[Peer], Awaitable[None]]], None]:
    """Runs a test on one of the event loops."""

    def on_its_loop(test: Callable[[Peer], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with connected() as peer:
                await test(peer)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(whole())

    return on_its_loop


Run = Callable[[Callable[[Peer], Awaitable[None]]], None]


def write(wire: FrameWriter) -> None:
    assert all(wire.send(frame) for frame in FRAMES)


def test_the_transport_is_given_little_and_a_client_that_reads_again_gets_all_in_order(run: Run) -> None:
    async def test(peer: Peer) -> None:
        wire, transport = peer.wire, peer.wire.transport
        write(wire)
        waiting = wire.waiting_bytes()
        assert transport.get_write_buffer_size() <= TRANSPORT_BYTES + len(FRAMES[0])
        assert len(ALL) - waiting > 0, "the kernel has the rest"
        assert waiting > len(ALL) / 2
        assert peer.protocol.paused
        assert await peer.read(len(ALL)) == ALL
        assert wire.waiting_bytes() == 0
        assert not peer.protocol.paused
        assert transport.get_protocol() is peer.protocol, "nobody stands between any more"
        wire.send(b"more")
        assert await peer.read(4) == b"more"

    run(test)


def test_whoever_waits_for_the_client_to_drain_is_told_once_and_not_before(run: Run) -> None:
    async def test(peer: Peer) -> None:
        wire, told = peer.wire, asyncio.Event()
        mark, seen = len(ALL) // 4, []

        def tell() -> None:
            seen.append(wire.waiting_bytes())
            told.set()

        write(wire)
        wire.when_drained(mark, tell)
        read = 0
        while not told.is_set():
            assert wire.waiting_bytes() > 0
            read += len(await peer.read(1000))
            await asyncio.sleep(0)
        assert 0 < seen[0] <= mark
        write(wire)
        await peer.read(2 * len(ALL) - read)
        assert wire.waiting_bytes() == 0
        assert len(seen) == 1

    run(test)


def test_nobody_is_told_of_a_connection_that_ends(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.wire)
        peer.wire.when_drained(0, lambda: pytest.fail("it did not drain"))
        peer.hang_up()
        await peer.protocol.lost.wait()
        peer.wire.when_drained(0, lambda: pytest.fail("nothing is held"))

    run(test)


def test_what_is_written_while_some_is_held_comes_behind_it(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.wire)
        half = await peer.read(len(ALL) // 2)
        peer.wire.send(b"an answer")
        assert half + await peer.read(len(ALL) - len(half) + 9) == ALL + b"an answer"

    run(test)


def test_what_the_client_says_is_heard_while_something_is_held(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.wire)
        await peer.say(b"a pong")
        await peer.protocol.heard.wait()
        assert peer.protocol.received == b"a pong"

    run(test)


def test_an_end_comes_behind_what_is_held(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.wire)
        peer.wire.close(1001, "bye")
        assert await peer.read(2 * len(ALL)) == ALL + close_frame(1001, "bye")

    run(test)


def test_a_client_that_is_cut_or_goes_leaves_nothing_behind(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.wire)
        peer.hang_up()
        await peer.protocol.lost.wait()
        assert not peer.wire.send(b"more")
        assert peer.wire.waiting_bytes() == 0

    run(test)
