"""The composition root: builds the parts and joins them. The nesting is the lifecycle: what stands inside lives shorter."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial

from aiohttp import web

from bridge.api import build_api, new_application
from bridge.api.events import EVENTS, EventsApi
from bridge.api.metrics import Counter, realtime_counters
from bridge.api.requestlog import request_log
from bridge.api.websockets import WebSocketsApi
from bridge.backoff import delays
from bridge.commands import Commands
from bridge.core.access import ANYONE, Identity
from bridge.core.decode import Decoder
from bridge.core.errors import PortTaken, SettingsError, StoreUnavailable
from bridge.core.health import Health
from bridge.core.identity import Cursor
from bridge.core.ledger import Ledger
from bridge.core.query import RejectedQuery
from bridge.intake import Intake
from bridge.keeping import Keeping
from bridge.pipeline import RETRY_CAP_SECONDS, RETRY_FIRST_SECONDS, Pipeline
from bridge.ports import Access, Source, Store
from bridge.quarantine import Retried, retry
from bridge.realtime.channels import Channels
from bridge.realtime.credentials import credentials_of
from bridge.realtime.device_messages import ROUTES as DEVICE_ROUTES
from bridge.realtime.devices import DeviceSockets
from bridge.realtime.entrance import Entrance
from bridge.realtime.gate import Gate
from bridge.realtime.hub import Hub
from bridge.realtime.socketio import SocketIo
from bridge.realtime.stay import Stays
from bridge.realtime.topics import Topics
from bridge.realtime.websocket import WebSockets
from bridge.registry import Admission, Registry
from bridge.settings import HttpSettings, Settings
from bridge.sources import mqtt
from bridge.sources.http import HttpSource
from bridge.stores import open_store

log = logging.getLogger(__name__)

STORE = "store"
_STORE_CHECK_SECONDS = 2.0
_HANG_UP_SECONDS = 0.2  # aiohttp waits this long for connections to end by themselves, twice


class Bridge:
    """One bridge. `run` is all there is to call; `port` is where it listens once `listening` is set."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened before `run`."""
        self._settings = settings
        self._stopping = asyncio.Event()
        self.listening = asyncio.Event()
        self.port = settings.http.port
        self.health = Health((mqtt.SOURCE, STORE))
        self.ledger = Ledger()
        self.application = new_application(settings.http)
        """Has every route once `listening` is set."""

    def stop(self) -> None:
        """Ask `run` to finish what has arrived and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Raises `PortTaken` when the port is not to be had; waits for broker and store as long as it takes."""
        settings = self._settings
        decoder = Decoder((*DEVICE_ROUTES, *settings.routes, EVENTS))
        app = self.application
        intake = Intake(self.ledger, qos0_limit=settings.mqtt.qos0_limit, batch_limit=settings.store.batch_limit)
        access = _access(settings)
        cursor = Cursor()
        over = asyncio.Event()  # from then on nothing is settled any more
        async with open_store(settings.store) as store:
            hub = Hub(store, settings.realtime)
            gate = Gate(settings.realtime)
            registry = Registry(store, hub, settings.devices)
            stays = Stays(access)
            hub.add(stays)
            entrance = Entrance(access, stays, registry, login_seconds=settings.access.login_seconds)
            sockets = WebSockets(settings.http, settings.realtime, hub, gate, entrance)
            device_sockets = DeviceSockets(
                settings.devices,
                settings.realtime,
                sockets=sockets,
                hub=hub,
                intake=intake,
                presence=registry,
                credentials=credentials_of(settings.devices, anyone=settings.any_device and not entrance.required),
                entrance=entrance,
            )
            source = mqtt.MqttSource(settings.mqtt, intake, self.health, memory=store, publisher=hub)
            commands = Commands(store.commands, registry, settings.devices, socket=device_sockets, mqtt=source)
            SocketIo(settings.http, settings.realtime, app, hub, gate, entrance, presence=registry, commander=commands)
            topics, channels = Topics(app, sockets, hub, registry.place), Channels(app, sockets)
            events = EventsApi(intake.put, lambda: not intake.closed, over)
            pipeline = Pipeline(
                intake=intake,
                decoder=Admission(decoder, registry) if settings.devices.registration == "required" else decoder,
                store=store,
                publisher=commands,
                ledger=self.ledger,
                health=self.health,
                cursor=cursor,
            )
            posted = HttpSource(settings.http, intake, self.ledger, self.health, over)
            keeping = Keeping(store)
            counters = (
                Counter(
                    "bridge_unknown_keys", "Payload keys that mean no field, by device.", lambda: len(decoder.unknown_keys)
                ),
                Counter("bridge_broker_dropped", "Messages the broker dropped, by its count.", lambda: source.broker_dropped),
                Counter("bridge_rejected_removed", "Removed from a full quarantine.", lambda: keeping.removed.rejected_over),
                Counter("bridge_posts_refused", "Requests with readings answered 503, by why.", lambda: posted.refused),
                Counter(
                    "bridge_idempotency_keys_forgotten", "Keys for which there was no room.", lambda: posted.keys.forgotten
                ),
                Counter("bridge_events_refused", "Events by HTTP not taken in.", lambda: events.refused),
                *realtime_counters(hub, gate),
                *device_counters(registry, commands),
            )
            build_api(
                app,
                settings.http,
                store=store,
                hub=hub,
                ledger=self.ledger,
                health=self.health,
                counters=counters,
                posted=posted,
                retry=partial(self._retry, store, cursor),
                registry=registry,
                commands=commands,
            )
            app.add_routes(device_sockets.routes())
            app.add_routes(WebSocketsApi(topics, channels, hub).routes())
            app.add_routes(events.routes())
            async with _serving(app, settings.http) as self.port, hub.running():
                self.listening.set()
                await self._move_readings(store, cursor, hub, intake, pipeline, source, keeping, registry, commands)
                over.set()
                await hub.close()
                await registry.close()
        log.info("stopped")

    async def _retry(self, store: Store, cursor: Cursor, query: RejectedQuery) -> Retried:
        """Try rejected messages again; only once the cursor is above all that is stored."""
        if not self.health.parts[STORE].up:
            raise StoreUnavailable(self.health.parts[STORE].reason)
        return await retry(store, cursor, self._settings.routes, query)

    async def _move_readings(
        self,
        store: Store,
        cursor: Cursor,
        hub: Hub,
        intake: Intake,
        pipeline: Pipeline,
        source: Source,
        keeping: Keeping,
        registry: Registry,
        commands: Commands,
    ) -> None:
        """From the store's being ready to `stop`."""
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait(), name="stop requested")
            preparing = tasks.create_task(self._prepare(store, cursor, hub, registry, commands), name="prepare store")
            await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                preparing.cancel()
                return
            watching = tasks.create_task(self._watch(store), name="watch store")
            tidying = tasks.create_task(keeping.run(), name="keeping")
            registering = tasks.create_task(registry.run(), name="registry")
            commanding = tasks.create_task(commands.run(), name="commands")
            moving = tasks.create_task(pipeline.run(), name="pipeline")
            receiving = tasks.create_task(source.run(), name="mqtt source")
            await stopping
            log.info("stopping: %d messages to finish", len(intake))
            intake.close()
            # Half of the time is for what has arrived, the other for taking leave of broker, clients and store.
            await asyncio.wait((moving,), timeout=self._settings.stop_seconds / 2)
            for task in (receiving, moving, watching, tidying, registering, commanding):
                task.cancel()

    async def _prepare(self, store: Store, cursor: Cursor, hub: Hub, registry: Registry, commands: Commands) -> None:
        """Wait for the store, and go on above the highest cursor it holds."""
        told = False
        for delay in delays(RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS):
            try:
                cursor.resume_above(await store.prepare())
                await registry.load()
                await commands.load()
            except StoreUnavailable as error:
                self.health.down(STORE, str(error))
                if not told:
                    log.warning("waiting for the store: %s", error)
                told = True
            else:
                hub.begin(cursor.last)
                self.health.up(STORE)
                log.info("the store is ready: %s", self._settings.store.address)
                return
            await asyncio.sleep(delay)

    async def _watch(self, store: Store) -> None:
        """Know that the store is away also while nothing is written."""
        while True:
            try:
                await store.ping()
            except StoreUnavailable as error:
                if self.health.down(STORE, str(error)):
                    log.warning("store away: %s", error)
            else:
                if self.health.up(STORE):
                    log.info("store is back")
            await asyncio.sleep(_STORE_CHECK_SECONDS)


def _access(settings: Settings) -> Access:
    if settings.access.mode == "required":
        raise SettingsError("access.mode: there is nothing here yet that could tell who somebody is")
    return OpenAccess()


class OpenAccess:
    """Everybody may do all."""

    required = False

    async def identify(self, shown: str | None, address: str) -> Identity:  # noqa: ARG002 - nothing is looked at
        """Anyone."""
        return ANYONE

    async def identify_device(self, name: str | None, secret: str, address: str) -> Identity:  # noqa: ARG002
        """Anyone."""
        return ANYONE

    def is_valid(self, identity: Identity) -> bool:  # noqa: ARG002
        """For ever."""
        return True


@asynccontextmanager
async def _serving(app: web.Application, settings: HttpSettings) -> AsyncIterator[int]:
    """Serve `app`; gives the port, which the system chose if the settings say 0."""
    runner = web.AppRunner(app, logger=request_log(), access_log=None, shutdown_timeout=_HANG_UP_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            why = {errno.EADDRINUSE: "is in use", errno.EACCES: "is not ours to use"}.get(error.errno or 0, str(error))
            raise PortTaken(
                f"port {settings.port} on {settings.host} {why}: choose another with http.port (BRIDGE_HTTP__PORT)"
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def device_counters(registry: Registry, commands: Commands) -> tuple[Counter, ...]:
    """What devices met: limits, and what became of commands to them."""
    return (
        Counter(
            "bridge_devices_unlisted",
            "Times a device was heard that the registry did not take.",
            lambda: registry.counts.unlisted,
        ),
        Counter(
            "bridge_device_state_dropped",
            "Keys of devices' states that found no place.",
            lambda: registry.counts.state_keys,
        ),
        Counter("bridge_commands", "Commands, by what became of them.", lambda: asdict(commands.counts), label="state"),
    )
