"""Every live protocol on one port with access required, and the components behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from bridge.api import new_application, pages
from bridge.api.middleware.request_log import request_log
from bridge.core.access.permissions import Identity
from bridge.core.decode import Decoder
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Message
from bridge.core.readings.identity import Cursor
from bridge.devices.commands import CommandService
from bridge.devices.registry import Registry
from bridge.pipeline.intake import Intake
from bridge.pipeline.loop import Pipeline
from bridge.ports import Authentication
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.auth.expiry import AuthenticatedConnections
from bridge.realtime.channel_protocol import ChannelProtocol
from bridge.realtime.device.messages import ROUTES as DEVICE_ROUTES
from bridge.realtime.device.server import DeviceSockets
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.socketio.server import SocketIoServer
from bridge.realtime.topic_protocol import TopicProtocol
from bridge.realtime.websocket.server import WebSocketServer
from bridge.settings import DevicesSettings, HttpSettings, RealtimeSettings, Settings
from tests.fakes import MemoryStore, RecordingOrigin
from tests.servers import until

EPOCH_MS = 1_767_000_000_000


class Notes:
    """An audit log in a list."""

    def __init__(self) -> None:
        self.acts: list[tuple[str, str, str]] = []

    def record(self, action: str, *, actor: Identity, address: str = "", target: str = "", **details: str) -> None:  # noqa: ARG002
        self.acts.append((action, actor.name, target))


class Mqtt:
    """A command transport in a list."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, object]]] = []

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:  # noqa: ARG002
        self.sent.append((device_id, body))


@dataclass
class Stage:
    """The components that tests use."""

    port: int
    limiter: ConnectionLimiter
    hub: Hub
    authenticated: AuthenticatedConnections
    registry: Registry
    store: MemoryStore
    intake: Intake
    ledger: Ledger
    mqtt: Mqtt
    notes: Notes
    _said: int = field(default=0)

    async def say(self, *devices: str, **values: object) -> int:
        """Store and publish a reading of each device; returns the last cursor."""
        settled = RecordingOrigin()
        for device in devices:
            self._said += 1
            body = {"temperature": self._said % 80, "timestamp": EPOCH_MS + self._said} | values
            payload = orjson.dumps(body)
            self.intake.put(Message("test", f"sensors/{device}/data", payload, time.time_ns() // 1_000_000, settled))
        await until(lambda: len(settled.settled) == len(devices), what="settled")
        return max(one.seq for one in self.store.by_id.values())

    async def until_live(self) -> None:
        """Wait until every session is live."""
        await until(lambda: all(session.live for session in self.hub._sessions), what="live")

    @property
    def is_empty(self) -> bool:
        """Whether no connection is open and none is remembered."""
        return not (len(self.limiter) or self.hub.client_count or len(self.authenticated))

    async def until_empty(self) -> None:
        await until(lambda: self.is_empty, what="everything released")


@asynccontextmanager
async def staged(
    access: Authentication,
    *,
    login_seconds: float = 10.0,
    realtime: RealtimeSettings | None = None,
    http: HttpSettings | None = None,
    devices: DevicesSettings | None = None,
) -> AsyncIterator[Stage]:
    """The components wired as in the bridge, without a broker."""
    realtime = realtime or RealtimeSettings(settle_seconds=0)
    http, devices = http or HttpSettings(), devices or DevicesSettings()
    store, ledger, mqtt, notes = MemoryStore(), Ledger(), Mqtt(), Notes()
    app, intake = new_application(http, required=access.required), Intake(ledger, qos0_limit=1000, batch_limit=1000)
    hub, limiter, authenticated = (
        Hub(store, realtime),
        ConnectionLimiter(realtime, required=access.required),
        AuthenticatedConnections(access),
    )
    hub.add_protocol(authenticated)
    registry = Registry(store, devices)
    registry.next = hub
    authenticator = Authenticator(access, authenticated, registry, login_seconds=login_seconds, audit=notes)
    sockets = WebSocketServer(http, realtime, hub, limiter, authenticator)
    device_sockets = DeviceSockets(
        devices,
        http,
        realtime,
        sockets=sockets,
        hub=hub,
        intake=intake,
        presence=registry,
        authenticator=authenticator,
    )
    commands = CommandService(store.commands, registry, devices, socket=device_sockets, mqtt=mqtt)
    commands.next = registry
    SocketIoServer(http, realtime, app, hub, limiter, authenticator, presence=registry, commander=commands)
    TopicProtocol(app, sockets, hub, registry.location)
    ChannelProtocol(app, sockets)
    app.add_routes((*pages.routes(device_sockets.serve), *device_sockets.routes()))
    pipeline = Pipeline(
        intake=intake,
        decoder=Decoder((*DEVICE_ROUTES, *Settings().routes)),
        store=store,
        publisher=commands,
        ledger=ledger,
        health=Health(("store",)),
        cursor=Cursor(),
    )
    await registry.load()
    hub.start(0)
    runner = web.AppRunner(app, logger=request_log(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with hub.running(), asyncio.TaskGroup() as tasks:
        moving = tasks.create_task(pipeline.run())
        try:
            port = runner.addresses[0][1]
            yield Stage(port, limiter, hub, authenticated, registry, store, intake, ledger, mqtt, notes)
        finally:
            await hub.close()
            await runner.cleanup()
            intake.close()
            await asyncio.wait_for(moving, 30)
