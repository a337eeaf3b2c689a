"""Clients of a running bridge: python-socketio's, Socket.IO on a bare WebSocket, and plain WebSocket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import aiohttp
import orjson
import socketio
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from bridge.app import Bridge
from bridge.settings import MqttSettings
from bridge.tools.api_client import authorization_header
from bridge.tools.bench.clients.publisher import MqttPublisher
from tests.access.parts import own_token


def auth_headers(bridge: Bridge) -> dict[str, str]:
    """Return the headers of a client with every permission; none while access control is off."""
    return authorization_header(own_token()) if bridge._settings.access.required else {}


class Listener:
    """A python-socketio client that records every event, in order."""

    def __init__(self, client: socketio.AsyncClient) -> None:
        self.client = client
        self.received: list[tuple[str, Any]] = []
        client.on("*", lambda event, body: self.received.append((event, body)))

    def of(self, event: str) -> list[Any]:
        return [body for name, body in self.received if name == event]

    @property
    def temperatures(self) -> list[float]:
        return [body["data"]["temperature"] for body in self.of("sensorData")]

    @property
    def cursors(self) -> list[int]:
        return [body["cursor"] for body in self.of("sensorData")]


@asynccontextmanager
async def listening(bridge: Bridge, **options: Any) -> AsyncIterator[Listener]:
    async with aiohttp.ClientSession() as session:
        listener = Listener(socketio.AsyncClient(http_session=session, reconnection=False))
        await listener.client.connect(f"http://127.0.0.1:{bridge.port}", auth_headers(bridge), wait_timeout=30, **options)
        try:
            yield listener
        finally:
            await listener.client.disconnect()


async def publish_many(broker_url: str, count: int, *, first: int = 0, devices: Iterable[str] = ("d",)) -> None:
    """Publish readings with the temperatures `first`/10, … of the devices in turn; return when the broker has them."""
    device_ids = list(devices)
    publisher = await MqttPublisher.connect(MqttSettings(url=SecretStr(broker_url)))
    await publisher.publish_all(
        (
            f"sensors/{device_ids[n % len(device_ids)]}/data".encode(),
            orjson.dumps({"temperature": n / 10 % 100, "timestamp": 1_767_000_000_000 + n}),
        )
        for n in range(first, first + count)
    )
    await publisher.settled()
    publisher.close()


async def publish_and_receive(broker_url: str, quick: Plain, count: int, *types: str) -> list[Any]:
    """Publish readings and return a client's messages of these types, 500 before the next readings are published.

    So it is never further behind than 500 records, whatever else the machine does.
    """
    messages: list[Any] = []
    for first in range(0, count, 500):
        await publish_many(broker_url, 500, first=first)
        messages += [await quick.receive(*types) for _ in range(500)]
    return messages


def _socket_with_small_buffer(port: int) -> socket.socket:
    """Return a connection that buffers little, so that a client that does not read is soon a slow one."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


class Bare:
    """A Socket.IO client on a WebSocket that sends and receives only on demand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    def stalled(cls, bridge: Bridge) -> AbstractAsyncContextManager[Self]:
        """Connect a client that reads only on demand, and so never a pong."""
        sock = _socket_with_small_buffer(bridge.port)
        return cls.connected(bridge, max_queue=1, ping_interval=None, close_timeout=0.1, sock=sock)

    @classmethod
    @asynccontextmanager
    async def connected(cls, bridge: Bridge, *, joins: bool = True, **options: Any) -> AsyncIterator[Self]:
        """Connect, and with `joins` join the namespace."""
        url = f"ws://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=websocket"
        async with connect(url, **{"compression": None, "additional_headers": auth_headers(bridge)} | options) as socket:
            bare = cls(socket)
            assert (await bare.receive()).startswith("0{")
            if joins:
                await bare.send("40")
                assert (await bare.receive()).startswith("40{")
            yield bare

    async def send(self, text: str | bytes) -> None:
        await self.socket.send(text)

    async def receive(self) -> str:
        """Return the next message; pings are answered."""
        while True:
            text = await self.socket.recv()
            assert isinstance(text, str)
            if text != "2":
                return text
            await self.socket.send("3")

    async def event(self) -> tuple[str, Any]:
        """Return the next event."""
        text = await self.receive()
        assert text.startswith("42"), text
        name, body = orjson.loads(text[2:])
        return name, body

    async def reading(self) -> Any:
        """Return the body of the next reading. Other events may come between any two, except a gap."""
        while True:
            name, body = await self.event()
            assert name != "gap", body
            if name == "sensorData":
                return body

    async def call(self, text: str) -> Any:
        """Send an event and return its acknowledgement; events before it are discarded."""
        await self.send(f"421{text}")
        while True:
            answer = await self.receive()
            if answer.startswith("431"):
                return orjson.loads(answer[3:])[0]


class Polling:
    """A Socket.IO client that polls when it is told to."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.cursors: list[int] = []

    @classmethod
    @asynccontextmanager
    async def connected(cls, bridge: Bridge) -> AsyncIterator[Self]:
        url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession(headers=auth_headers(bridge)) as session:
            async with session.get(url) as answer:
                url += "&sid=" + orjson.loads((await answer.text())[1:])["sid"]
            client = cls(session, url)
            await client._post("40")
            yield client

    async def _post(self, packet: str) -> None:
        async with self._session.post(self._url, data=packet) as answer:
            assert answer.status == 200

    async def poll(self) -> None:
        """Take what waits, or wait for something."""
        async with self._session.get(self._url) as answer:
            assert answer.status == 200
            packets = (await answer.text()).split("\x1e")
        for packet in packets:
            if packet == "2":
                await self._post("3")
            elif packet.startswith('42["sensorData"'):
                self.cursors.append(orjson.loads(packet[2:])[1]["cursor"])
            else:
                assert not packet.startswith(('42["gap"', "41", "44")), packet


class Plain:
    """A plain WebSocket client, with an independent library."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    @asynccontextmanager
    async def connected(cls, bridge: Bridge, path: str = "/ws", **options: Any) -> AsyncIterator[Self]:
        options = {"compression": None, "additional_headers": auth_headers(bridge)} | options
        async with connect(f"ws://127.0.0.1:{bridge.port}{path}", **options) as socket:
            yield cls(socket)

    @classmethod
    def stalled(cls, bridge: Bridge, path: str = "/ws") -> AbstractAsyncContextManager[Self]:
        """Connect a client that reads only on demand, and so never a pong."""
        sock = _socket_with_small_buffer(bridge.port)
        return cls.connected(bridge, path, max_queue=1, ping_interval=None, close_timeout=0.1, sock=sock)

    async def send(self, **message: Any) -> None:
        await self.socket.send(orjson.dumps(message).decode())

    async def receive(self, *types: str) -> Any:
        """Return the next message, or the next of these types."""
        while True:
            async with asyncio.timeout(20):
                message = orjson.loads(await self.socket.recv())
            if not types or message["type"] in types:
                return message

    async def call(self, **message: Any) -> Any:
        """Send a message and return the next one that is not an event."""
        await self.send(**message)
        return await self.receive("subscribed", "unsubscribed", "pong", "error")
