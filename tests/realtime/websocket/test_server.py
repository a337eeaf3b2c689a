"""Plain WebSockets, byte for byte: protocol violations (RFC 6455) affect only their own connection."""

from __future__ import annotations

import asyncio
import gc
import json
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bridge.access.service import AuthService
from bridge.app import Bridge
from bridge.core.access.permissions import Identity
from bridge.devices.registry import Registry
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.auth.expiry import AuthenticatedConnections
from bridge.realtime.device.protocols import TELEMETRY_CODEC
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.handshake import accepts_deflate
from bridge.realtime.websocket.server import WebSocketServer
from bridge.settings import AccessSettings, DevicesSettings, HttpSettings, RealtimeSettings
from tests.access.parts import ACCESS
from tests.conftest import StartBridge
from tests.fakes import MemoryStore
from tests.realtime.clients import Plain, auth_headers, publish_many
from tests.realtime.socketio.test_server import metric
from tests.realtime.websocket.test_parser import BROKEN, close, frame
from tests.servers import REPO, until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ENDPOINTS = ["/ws", "/api/v1/ws?channel=predictions", "/ws/device"]


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path, access: AccessSettings) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", access=access) as running:
        yield running


class Raw:
    """A WebSocket client without a library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, bridge: Bridge, path: str = "/ws", behind: bytes = b"") -> AsyncIterator[Raw]:
        """Connect; `behind` is sent in the same write as the handshake."""
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
        headers = "".join(f"{name}: {text}\r\n" for name, text in auth_headers(bridge).items())
        writer.write(f"{HANDSHAKE.format(path=path)}{headers}\r\n".encode() + behind)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "the example of RFC 6455, section 1.3"
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def receive(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        async with asyncio.timeout(30):
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            assert first & 0x80
            return first & 0x0F, await self.reader.readexactly(length)

    async def received(self, opcode: int) -> bytes:
        """Return the payload of the next frame with an opcode; other frames are discarded."""
        while True:
            received_opcode, payload = await self.receive()
            if received_opcode == opcode:
                return payload

    async def end(self) -> int | None:
        """Return the code of the next close frame, if any; fail if data follows it."""
        payload = await self.received(CLOSE)
        assert await asyncio.wait_for(self.reader.read(), 30) == b""
        payload[2:].decode()
        return int.from_bytes(payload[:2], "big") if payload else None


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("path", ENDPOINTS)
async def test_protocol_violation_closes_only_its_connection_with_its_code(
    bridge: Bridge, broker_url: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Plain.connected(bridge) as other:
        for sent, code in BROKEN:
            async with Raw.connected(bridge, path) as raw:
                raw.writer.write(sent)
                assert await raw.end() == code, sent[:20]
        await publish_many(broker_url, 10)
        assert [(await other.receive("measurement"))["temperature"] for _ in range(10)] == [n / 10 for n in range(10)]
    assert await metric(bridge, 'bridge_clients_cut_total{reason="malformed"}') == len(BROKEN)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR") or record.exc_info] == []


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge resets a closed connection after a second, in which a busy machine may not read all that was sent."""
    monkeypatch.setattr("bridge.realtime.websocket.writer._CLOSE_SECONDS", 60)


@pytest.mark.usefixtures("patient")
async def test_flood_of_empty_frames_closes_the_connection(bridge: Bridge) -> None:
    async with Raw.connected(bridge) as raw:
        raw.writer.write(frame(TEXT, b"{", fin=False) + frame(0, b"", fin=False) * 20_000)
        assert await raw.end() == 1009


class FailingHandler:
    """A handler with a bug."""

    encoder = TELEMETRY_CODEC
    channel: str | None = None

    def on_connect(self, client: ClientConnection, identity: Identity) -> None:
        pass

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:  # noqa: ARG002
        raise LookupError(message)

    def on_disconnect(self, client: ClientConnection) -> None:
        pass


async def test_failing_handler_closes_the_connection_with_1011_and_frees_it(caplog: pytest.LogCaptureFixture) -> None:
    http, realtime, store = HttpSettings(), RealtimeSettings(), MemoryStore()
    hub, limiter, app = Hub(store, realtime), ConnectionLimiter(realtime), web.Application()
    control, registry = AuthService(AccessSettings(), DevicesSettings(), store), Registry(store, DevicesSettings())
    sockets = WebSocketServer(
        http, realtime, hub, limiter, Authenticator(control, AuthenticatedConnections(control), registry, login_seconds=1)
    )

    async def serve(request: web.Request) -> web.StreamResponse:
        return await sockets.serve(request, FailingHandler())

    app.router.add_get("/ws", serve)
    async with hub.running(), TestServer(app) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws", compression=None) as socket:
            await socket.send('{"type": "ping"}')
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert (len(limiter), hub.client_count, hub.counts.cut) == (0, 0, {"mistake": 1})
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["bridge.realtime.websocket.server"]


@pytest.mark.parametrize("code", [1000, 3000, 4999, None])
async def test_close_frame_is_answered_with_its_code(bridge: Bridge, code: int | None) -> None:
    async with Raw.connected(bridge) as raw:
        raw.writer.write((close(code, b"bye") if code else frame(CLOSE)) + frame(TEXT, b'{"type": "ping"}'))
        assert await raw.end() == code


async def test_ping_is_answered_with_its_payload_even_between_fragments(bridge: Bridge) -> None:
    async with Raw.connected(bridge) as raw:
        raw.writer.write(
            frame(TEXT, b'{"type": ', fin=False) + frame(PING, b"p" * 125) + frame(PONG, b"?") + frame(0, b'"ping"}')
        )
        assert await raw.receive() == (PONG, b"p" * 125)
        assert await raw.receive() == (TEXT, b'{"type":"pong"}')


async def test_frames_sent_with_the_handshake_or_byte_by_byte_are_parsed(bridge: Bridge) -> None:
    async with Raw.connected(bridge, behind=frame(TEXT, b'{"type": "ping"}')) as raw:
        assert await raw.receive() == (TEXT, b'{"type":"pong"}')
        for byte in frame(TEXT, b'{"type":                                                     "ping"}') + frame(PING, b"?"):
            raw.writer.write(bytes((byte,)))
            await raw.writer.drain()
        assert {await raw.receive(), await raw.receive()} == {(TEXT, b'{"type":"pong"}'), (PONG, b"?")}


@pytest.mark.parametrize("access", ACCESS)
async def test_connection_lost_within_a_frame_is_freed(bridge: Bridge) -> None:
    for rest in (b"\x81", frame(TEXT, b"{}")[:-1], frame(TEXT, b"{", fin=False)):
        async with Raw.connected(bridge) as raw:
            raw.writer.write(rest)
            await raw.writer.drain()
    async with asyncio.timeout(30):
        while await metric(bridge, "bridge_clients"):
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("patient")
async def test_data_after_close_is_discarded(bridge: Bridge) -> None:
    async with Raw.connected(bridge) as raw:
        raw.writer.write(frame(BINARY, b"{}") + frame(TEXT, b"x" * 60_000) * 20)
        assert await raw.end() == 1003


@pytest.mark.parametrize(
    ("changed", "to", "status"),
    [
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive", 426),
        ("Version: 13", "Version: 8", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
    ],
)
async def test_invalid_handshake_is_refused(bridge: Bridge, changed: str, to: str, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
    writer.write(f"{HANDSHAKE.format(path='/ws')}\r\n".replace(changed, to).encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    writer.transport.abort()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head


@pytest.mark.parametrize(
    ("offers", "taken"),
    [
        ("", False),
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_no_context_takeover; client_max_window_bits=10", True),
        ("permessage-deflate; server_no_context_takeover", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("x-webkit-deflate-frame", False),
    ],
)
def test_only_compression_offers_that_allow_shared_bytes_are_accepted(offers: str, taken: bool) -> None:
    assert accepts_deflate(offers) is taken


NODE = """
import WebSocket from "ws";
const socket = new WebSocket(process.argv[1]);
socket.on("open", () => console.log(JSON.stringify({ type: "open" })));
socket.on("message", (data, binary) => console.log(binary ? "binary" : data.toString()));
socket.on("close", (code) => process.exit(code === 1005 ? 0 : 1));
process.stdin.on("data", (text) => socket.send(text.toString().trim()));
process.stdin.on("end", () => socket.close());
"""


@pytest.mark.skipif(not (REPO / "web/node_modules/ws").exists(), reason="npm packages are not installed")
async def test_ws_package_of_node_receives_all_1000_readings(bridge: Bridge, broker_url: str) -> None:
    node = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", NODE, f"ws://127.0.0.1:{bridge.port}/ws",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPO / "web",
    )  # fmt: skip
    assert node.stdin is not None
    assert node.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert json.loads(await node.stdout.readline()) == {"type": "open"}
            node.stdin.write(b'{"type": "subscribe", "topics": ["measurements"]}\n')
            assert json.loads(await node.stdout.readline())["topics"] == ["measurements", "all"]
            await publish_many(broker_url, 1000)
            received: list[float] = []
            while len(received) < 1000:
                if (message := json.loads(await node.stdout.readline()))["type"] == "measurement":
                    received.append(message["temperature"])
            assert received == [n / 10 % 100 for n in range(1000)]
            node.stdin.close()
            assert await node.wait() == 0
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Switch the garbage collector off, so that reference cycles stay in memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def clients() -> list[object]:
    """Return the connection objects of plain WebSocket and Socket.IO clients."""
    return [item for item in gc.get_objects() if isinstance(item, ClientConnection | web.WebSocketResponse)]


SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("path", [*ENDPOINTS, SOCKET_IO])
@pytest.mark.usefixtures("without_collector")
async def test_disconnected_clients_are_freed(bridge: Bridge, path: str) -> None:
    before = {id(one): one for one in clients()}  # of bridges stopped before; held, so that no id is used again
    for _ in range(8):
        async with Plain.connected(bridge, path) as client:
            if path == "/ws/device":
                await client.send(type="auth", name="esp01", password="x")
                await client.send(type="nonsense")
                await client.socket.recv()  # the error that follows a successful login
            if path == SOCKET_IO:
                await client.socket.send("40")
                assert [(await client.socket.recv())[0] for _ in range(2)] == ["0", "4"]
    await until(lambda: before.keys() >= set(map(id, clients())), what="no client in memory")
