"""Clients of a running bridge: one that remembers, and one on a bare WebSocket."""

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


def shown(bridge: Bridge) -> dict[str, str]:
    """The headers of a client who may do everything, where that has to be shown."""
    return authorization_header(own_token()) if bridge._settings.access.required else {}


class Listener:
    """A client that remembers every event, in order."""

    def __init__(self, client: socketio.AsyncClient) -> None:
        self.client = client
        self.heard: list[tuple[str, Any]] = []
        client.on("*", lambda event, body: self.heard.append((event, body)))

    def of(self, event: str) -> list[Any]:
        return [body for name, body in self.heard if name == event]

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
        await listener.client.connect(f"http://127.0.0.1:{bridge.port}", shown(bridge), **options)
        try:
            yield listener
        finally:
            await listener.client.disconnect()


async def publish_many(broker_url: str, count: int, *, first: int = 0, devices: Iterable[str] = ("d",)) -> None:
    """Readings with the temperatures `first`/10, … of the devices in turn; returns when the broker has them."""
    named = list(devices)
    publisher = await MqttPublisher.connect(MqttSettings(url=SecretStr(broker_url)))
    await publisher.publish_all(
        (
            f"sensors/{named[n % len(named)]}/data".encode(),
            orjson.dumps({"temperature": n / 10 % 100, "timestamp": 1_767_000_000_000 + n}),
        )
        for n in range(first, first + count)
    )
    await publisher.settled()
    publisher.close()


def _narrow(port: int) -> socket.socket:
    """A connection that holds little on its way, so that a client that does not read is soon a slow one."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", port))
    narrow.setblocking(False)
    return narrow


class Bare:
    """A Socket.IO client on a WebSocket, of which nothing happens by itself."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    def stalled(cls, bridge: Bridge) -> AbstractAsyncContextManager[Self]:
        """It reads no further than it is told to."""
        return cls.connected(bridge, max_queue=1, close_timeout=0.1, sock=_narrow(bridge.port))

    @classmethod
    @asynccontextmanager
    async def connected(cls, bridge: Bridge, *, joins: bool = True, **options: Any) -> AsyncIterator[Self]:
        """With `joins` it has been let into the namespace."""
        url = f"ws://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=websocket"
        async with connect(url, **{"compression": None, "additional_headers": shown(bridge)} | options) as socket:
            bare = cls(socket)
            assert (await bare.receive()).startswith("0{")
            if joins:
                await bare.send("40")
                assert (await bare.receive()).startswith("40{")
            yield bare

    async def send(self, text: str | bytes) -> None:
        await self.socket.send(text)

    async def receive(self) -> str:
        """The next message that is no ping; those are answered."""
        while True:
            text = await self.socket.recv()
            assert isinstance(text, str)
            if text != "2":
                return text
            await self.socket.send("3")

    async def event(self) -> tuple[str, Any]:
        """The next event."""
        text = await self.receive()
        assert text.startswith("42"), text
        name, body = orjson.loads(text[2:])
        return name, body

    async def call(self, text: str) -> Any:
        """Send an event that wants an acknowledgement, and give that; other events are passed over."""
        await self.send(f"421{text}")
        while True:
            answer = await self.receive()
            if answer.startswith("431"):
                return orjson.loads(answer[3:])[0]


class Plain:
    """A client on a plain WebSocket, by a library that knows nothing of us."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    @asynccontextmanager
    async def connected(cls, bridge: Bridge, path: str = "/ws", **options: Any) -> AsyncIterator[Self]:
        options = {"compression": None, "additional_headers": shown(bridge)} | options
        async with connect(f"ws://127.0.0.1:{bridge.port}{path}", **options) as socket:
            yield cls(socket)

    @classmethod
    def stalled(cls, bridge: Bridge, path: str = "/ws") -> AbstractAsyncContextManager[Self]:
        """It reads no further than it is told to."""
        return cls.connected(bridge, path, max_queue=1, close_timeout=0.1, sock=_narrow(bridge.port))

    async def send(self, **message: Any) -> None:
        await self.socket.send(orjson.dumps(message).decode())

    async def receive(self, *types: str) -> Any:
        """The next message, or the next of these types."""
        while True:
            async with asyncio.timeout(20):
                message = orjson.loads(await self.socket.recv())
            if not types or message["type"] in types:
                return message

    async def call(self, **message: Any) -> Any:
        """Send, and give the next message that is no event."""
        await self.send(**message)
        return await self.receive("subscribed", "unsubscribed", "pong", "error")
