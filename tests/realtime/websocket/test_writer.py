"""Writing to a client that reads slowly: complete, in order, with bounded buffers, on both event loops."""

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
    """Both ends of a connection: the server's writer, and a client socket that is read on demand."""

    def __init__(self, writer: FrameWriter, protocol: ServerProtocol, theirs: socket.socket) -> None:
        self.writer = writer
        self.protocol = protocol
        self._theirs = theirs

    async def read(self, count: int) -> bytes:
        """Read `count` bytes, or all until the end."""
        loop, read = asyncio.get_running_loop(), bytearray()
        async with asyncio.timeout(20):
            while len(read) < count and (more := await loop.sock_recv(self._theirs, count - len(read))):
                read += more
        return bytes(read)

    async def say(self, text: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._theirs, text)

    def hang_up(self) -> None:
        self._theirs.close()


class ServerProtocol(asyncio.Protocol):
    """Stands for aiohttp's protocol: records data and pauses."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.has_data = asyncio.Event()
        self.lost = asyncio.Event()
        self.paused = False

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.has_data.set()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost.set()


@asynccontextmanager
async def connected() -> AsyncIterator[Peer]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_connection(ServerProtocol, sock=ours)
    try:
        yield Peer(FrameWriter(transport, deflates=False), protocol, theirs)
    finally:
        transport.abort()
        theirs.close()
        await protocol.lost.wait()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[Peer], Awaitable[None]]], None]:
    """Run a test on one of the event loops."""

    def on_its_loop(test: Callable[[Peer], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with connected() as peer:
                await test(peer)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(whole())

    return on_its_loop


Run = Callable[[Callable[[Peer], Awaitable[None]]], None]


def write(writer: FrameWriter) -> None:
    assert all(writer.send(frame) for frame in FRAMES)


def test_transport_buffers_little_and_a_client_that_reads_again_receives_all_in_order(run: Run) -> None:
    async def test(peer: Peer) -> None:
        writer, transport = peer.writer, peer.writer.transport
        write(writer)
        waiting = writer.waiting_bytes()
        assert transport.get_write_buffer_size() <= TRANSPORT_BYTES + len(FRAMES[0])
        assert len(ALL) - waiting > 0, "the kernel holds the rest"
        assert waiting > len(ALL) / 2
        assert peer.protocol.paused
        assert await peer.read(len(ALL)) == ALL
        assert writer.waiting_bytes() == 0
        assert not peer.protocol.paused
        assert transport.get_protocol() is peer.protocol, "the buffer has detached"
        writer.send(b"more")
        assert await peer.read(4) == b"more"

    run(test)


def test_drain_callback_is_called_once_and_not_before_the_mark(run: Run) -> None:
    async def test(peer: Peer) -> None:
        writer, called = peer.writer, asyncio.Event()
        mark, seen = len(ALL) // 4, []

        def on_drained() -> None:
            seen.append(writer.waiting_bytes())
            called.set()

        write(writer)
        writer.when_drained(mark, on_drained)
        read = 0
        while not called.is_set():
            assert writer.waiting_bytes() > 0
            read += len(await peer.read(1000))
            await asyncio.sleep(0)
        assert 0 < seen[0] <= mark
        write(writer)
        await peer.read(2 * len(ALL) - read)
        assert writer.waiting_bytes() == 0
        assert len(seen) == 1

    run(test)


def test_drain_callback_is_not_called_when_the_connection_ends(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.writer)
        peer.writer.when_drained(0, lambda: pytest.fail("it did not drain"))
        peer.hang_up()
        await peer.protocol.lost.wait()
        peer.writer.when_drained(0, lambda: pytest.fail("no frames are held"))

    run(test)


def test_frames_written_while_others_are_held_follow_them(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.writer)
        half = await peer.read(len(ALL) // 2)
        peer.writer.send(b"an answer")
        assert half + await peer.read(len(ALL) - len(half) + 9) == ALL + b"an answer"

    run(test)


def test_client_data_is_received_while_frames_are_held(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.writer)
        await peer.say(b"a pong")
        await peer.protocol.has_data.wait()
        assert peer.protocol.received == b"a pong"

    run(test)


def test_close_frame_follows_held_frames(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.realtime.websocket.writer._CLOSE_SECONDS", 60)  # a busy machine needs more than one to read all

    async def test(peer: Peer) -> None:
        write(peer.writer)
        peer.writer.close(1001, "bye")
        assert await peer.read(2 * len(ALL)) == ALL + close_frame(1001, "bye")

    run(test)


def test_lost_connection_drops_held_frames(run: Run) -> None:
    async def test(peer: Peer) -> None:
        write(peer.writer)
        peer.hang_up()
        await peer.protocol.lost.wait()
        assert not peer.writer.send(b"more")
        assert peer.writer.waiting_bytes() == 0

    run(test)
