"""Every way out: a listener by each, connected as any client would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import socketio

from bridge.tools.probe.findings import Failed, Skipped
from bridge.tools.probe.listener import Listener, ReceivedReading
from bridge.tools.probe.sockets import Json, Socket, connected, under_way
from bridge.tools.probe.target import ProbeTarget

CHANNEL = "readings"
TOPICS, CHANNELS, ADMIN = "/ws", "/api/v1/ws", "/ws/device admin"
_TRANSPORTS = {"Socket.IO WebSocket": "websocket", "Socket.IO polling": "polling"}


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """What a listener needs: the bridge, the device it listens for, and where its task lives."""

    target: ProbeTarget
    device: str
    tasks: asyncio.TaskGroup

    def reading(self, socket: Socket, listener: Listener, hear: Callable[[Json], None]) -> asyncio.Task[None]:
        """Read what concerns the device."""
        job = socket.read(hear, listener.end, about=self.device)
        return self.tasks.create_task(job, name=f"probe {listener.name}")


WayOut = Callable[[ListenerContext], AbstractAsyncContextManager[Listener]]
"""Connects; raises `Failed` or `Skipped`."""


def ways_out(admin_token: str | None) -> dict[str, WayOut]:
    """All of them, by name."""
    return {
        **{name: partial(_by_socketio, name=name) for name in _TRANSPORTS},
        TOPICS: _by_topic,
        CHANNELS: _by_channel,
        ADMIN: partial(_as_admin, token=admin_token),
    }


@asynccontextmanager
async def _by_socketio(ears: ListenerContext, name: str) -> AsyncIterator[Listener]:
    listener = Listener(name)
    client = socketio.AsyncClient(http_session=ears.target.session, reconnection=False, handle_sigint=False)

    def on_data(body: Json) -> None:
        data = body["data"]
        listener.note(data["timestamp"], ReceivedReading(time.monotonic(), data, data["_id"], body["cursor"]))

    client.on("sensorData", on_data)
    client.on("disconnect", lambda *_: listener.end("the bridge ended the connection"))
    try:
        await _subscribed(client, ears, _TRANSPORTS[name])
        yield listener
    finally:
        await client.disconnect()


async def _subscribed(client: Any, ears: ListenerContext, transport: str) -> None:  # noqa: ANN401 - python-socketio has no types
    """Connected by this transport, to hear the device alone."""
    patience = ears.target.patience
    try:
        async with asyncio.timeout(patience):
            await client.connect(ears.target.url, ears.target.shown, transports=[transport], wait_timeout=patience)
            answer = await client.call("subscribe", {"devices": [ears.device]}, timeout=patience)
    except (socketio.exceptions.SocketIOError, TimeoutError) as error:
        why = str(error) or f"no answer within {patience:g} s"
        raise Failed(why, "a proxy before the bridge must pass on /socket.io/, upgrades and long polls too") from None
    if not isinstance(answer, dict) or not answer.get("ok"):
        raise Failed(f"subscribe is answered {answer}")
    if client.transport() != transport:
        raise Failed(f"connected by {client.transport()}, not by {transport}")


@asynccontextmanager
async def _by_topic(ears: ListenerContext) -> AsyncIterator[Listener]:
    """Measurements only, of every device: this dialect has no choice of them."""
    listener = Listener(TOPICS)

    def hear(body: Json) -> None:
        if body["type"] == "measurement" and body["sensor_id"] == ears.device:
            listener.note(body["timestamp"], ReceivedReading(time.monotonic(), body, cursor=body["cursor"]))

    async with connected(ears.target, TOPICS) as socket:
        await _chosen(socket, "subscribe", "measurements")
        await _chosen(socket, "unsubscribe", "all")
        async with under_way(ears.reading(socket, listener, hear)):
            yield listener


async def _chosen(socket: Socket, asked: str, topic: str) -> None:
    await socket.send(type=asked, topics=[topic])
    while (answer := await socket.answer()).get("type") != f"{asked}d":
        if answer.get("type") == "error":
            raise Failed(f"{socket.path}: {asked} {topic} is answered {answer.get('error')}")


@asynccontextmanager
async def _by_channel(ears: ListenerContext) -> AsyncIterator[Listener]:
    """The channel of readings; test events on it count as heard by their message."""
    listener = Listener(CHANNELS)

    def hear(body: Json) -> None:
        match body["type"]:
            case "entity_event" if body["entity_type"] == "reading" and body["data"]["deviceId"] == ears.device:
                data = body["data"]
                listener.note(data["timestamp"], ReceivedReading(time.monotonic(), data, body["entity_id"], data["seq"]))
            case "system_event":
                listener.note(body["message"], ReceivedReading(time.monotonic(), body))

    async with connected(ears.target, f"{CHANNELS}?channel={CHANNEL}&user_id={ears.device}") as socket:
        greeting = await socket.answer()
        if (greeting.get("type"), greeting.get("channel")) != ("connection", CHANNEL):
            raise Failed(f"{CHANNELS} greets with {greeting}")
        async with under_way(ears.reading(socket, listener, hear)):
            yield listener


@asynccontextmanager
async def _as_admin(ears: ListenerContext, token: str | None) -> AsyncIterator[Listener]:
    if token is None:
        raise Skipped("no --admin-token, and none readable in the settings")
    listener = Listener(ADMIN)

    def hear(body: Json) -> None:
        if body["type"] == "ERROR":
            listener.end(f"{body['payload']['error']}; is the token one of devices.admins?")
        elif body["type"] == "TELEMETRY" and body["payload"]["device_id"] == ears.device:
            listener.note(body["payload"]["timestamp"], ReceivedReading(time.monotonic(), body["payload"]))

    async with connected(ears.target, "/ws/device", showing=False) as socket:
        await socket.send(type="AUTH", payload={"token": token})
        if (answer := await socket.answer()).get("type") != "AUTH_OK":
            raise Failed(f"/ws/device answers {answer}", "--admin-token must be one of the bridge's devices.admins")
        await socket.send(type="SUBSCRIBE", payload={"device_id": ears.device})
        job = socket.read(hear, listener.end)
        async with under_way(ears.tasks.create_task(job, name="probe admin")):
            yield listener
