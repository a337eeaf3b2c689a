"""The outputs of a bridge: a listener on each, connected as clients do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import socketio

from bridge.tools.probe.listener import Listener, ReceivedReading
from bridge.tools.probe.results import Failed, Skipped
from bridge.tools.probe.sockets import Json, Socket, cancelled_at_exit, connect
from bridge.tools.probe.target import ProbeTarget

CHANNEL = "readings"
TOPICS, CHANNELS, ADMIN = "/ws", "/api/v1/ws", "/ws/device admin"
_TRANSPORTS = {"Socket.IO WebSocket": "websocket", "Socket.IO polling": "polling"}


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """The bridge, the device to listen for, and the task group of the listeners."""

    target: ProbeTarget
    device: str
    tasks: asyncio.TaskGroup

    def read(self, socket: Socket, listener: Listener, on_message: Callable[[Json], None]) -> asyncio.Task[None]:
        """Start to read the messages that contain the device's id."""
        job = socket.read(on_message, listener.close, containing=self.device)
        return self.tasks.create_task(job, name=f"probe {listener.name}")


OpenOutput = Callable[[ListenerContext], AbstractAsyncContextManager[Listener]]
"""Connects. Raises `Failed` or `Skipped`."""


def outputs(admin_token: str | None) -> dict[str, OpenOutput]:
    return {
        **{name: partial(_open_socketio, name=name) for name in _TRANSPORTS},
        TOPICS: _open_topics,
        CHANNELS: _open_channel,
        ADMIN: partial(_open_admin, token=admin_token),
    }


@asynccontextmanager
async def _open_socketio(context: ListenerContext, name: str) -> AsyncIterator[Listener]:
    listener = Listener(name)
    client = socketio.AsyncClient(http_session=context.target.session, reconnection=False, handle_sigint=False)

    def on_data(body: Json) -> None:
        data = body["data"]
        listener.add(data["timestamp"], ReceivedReading(time.monotonic(), data, data["_id"], body["cursor"]))

    client.on("sensorData", on_data)
    client.on("disconnect", lambda *_: listener.close("the bridge closed the connection"))
    try:
        await _connect_and_subscribe(client, context, _TRANSPORTS[name])
        yield listener
    finally:
        await client.disconnect()


async def _connect_and_subscribe(client: Any, context: ListenerContext, transport: str) -> None:  # noqa: ANN401 - untyped library
    patience = context.target.patience
    try:
        async with asyncio.timeout(patience):
            await client.connect(context.target.url, context.target.headers, transports=[transport], wait_timeout=patience)
            ack = await client.call("subscribe", {"devices": [context.device]}, timeout=patience)
    except (socketio.exceptions.SocketIOError, TimeoutError) as error:
        reason = str(error) or f"no answer within {patience:g} s"
        raise Failed(reason, "a proxy in front of the bridge must forward /socket.io/ with upgrades and long polls") from None
    if not isinstance(ack, dict) or not ack.get("ok"):
        raise Failed(f"subscribe: the acknowledgement is {ack}")
    if client.transport() != transport:
        raise Failed(f"connected by {client.transport()}, not by {transport}")


@asynccontextmanager
async def _open_topics(context: ListenerContext) -> AsyncIterator[Listener]:
    """Subscribe to the measurements of all devices: this protocol cannot select devices."""
    listener = Listener(TOPICS)

    def on_message(body: Json) -> None:
        if body["type"] == "measurement" and body["sensor_id"] == context.device:
            listener.add(body["timestamp"], ReceivedReading(time.monotonic(), body, cursor=body["cursor"]))

    async with connect(context.target, TOPICS) as socket:
        await _change_topics(socket, "subscribe", "measurements")
        await _change_topics(socket, "unsubscribe", "all")
        async with cancelled_at_exit(context.read(socket, listener, on_message)):
            yield listener


async def _change_topics(socket: Socket, request: str, topic: str) -> None:
    await socket.send(type=request, topics=[topic])
    while (answer := await socket.receive()).get("type") != f"{request}d":
        if answer.get("type") == "error":
            raise Failed(f"{socket.path}: {request} {topic}: the answer is {answer.get('error')}")


@asynccontextmanager
async def _open_channel(context: ListenerContext) -> AsyncIterator[Listener]:
    """Join the channel of readings; test events on it are identified by their message."""
    listener = Listener(CHANNELS)

    def on_message(body: Json) -> None:
        match body["type"]:
            case "entity_event" if body["entity_type"] == "reading" and body["data"]["deviceId"] == context.device:
                data = body["data"]
                listener.add(data["timestamp"], ReceivedReading(time.monotonic(), data, body["entity_id"], data["seq"]))
            case "system_event":
                listener.add(body["message"], ReceivedReading(time.monotonic(), body))

    async with connect(context.target, f"{CHANNELS}?channel={CHANNEL}&user_id={quote(context.device, safe='')}") as socket:
        greeting = await socket.receive()
        if (greeting.get("type"), greeting.get("channel")) != ("connection", CHANNEL):
            raise Failed(f"{CHANNELS}: the first message is {greeting}")
        async with cancelled_at_exit(context.read(socket, listener, on_message)):
            yield listener


@asynccontextmanager
async def _open_admin(context: ListenerContext, token: str | None) -> AsyncIterator[Listener]:
    if token is None:
        raise Skipped("no --admin-token, and none in plain text in the settings")
    listener = Listener(ADMIN)

    def on_message(body: Json) -> None:
        if body["type"] == "ERROR":
            listener.close(f"{body['payload']['error']}; check that the token is one of devices.admins")
        elif body["type"] == "TELEMETRY" and body["payload"]["device_id"] == context.device:
            listener.add(body["payload"]["timestamp"], ReceivedReading(time.monotonic(), body["payload"]))

    async with connect(context.target, "/ws/device", authenticated=False) as socket:
        await socket.send(type="AUTH", payload={"token": token})
        if (answer := await socket.receive()).get("type") != "AUTH_OK":
            raise Failed(f"/ws/device answers {answer}", "--admin-token must be one of the bridge's devices.admins")
        await socket.send(type="SUBSCRIBE", payload={"device_id": context.device})
        job = socket.read(on_message, listener.close)
        async with cancelled_at_exit(context.tasks.create_task(job, name="probe admin")):
            yield listener
