"""The composition root: builds the parts and joins them. The nesting is the lifecycle: what stands inside lives shorter."""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from aiohttp import web

from bridge.access import Control
from bridge.api import build_api, new_application
from bridge.api.events import EVENTS, EventsApi
from bridge.api.metrics import Counter, realtime_counters
from bridge.api.requestlog import request_log
from bridge.api.websockets import WebSocketsApi
from bridge.backoff import delays
from bridge.commands import Commands
from bridge.core.decode import Decoder, Route
from bridge.core.errors import PortTaken, SettingsError, StoreUnavailable
from bridge.core.health import Health
from bridge.core.identity import Cursor
from bridge.core.ledger import Ledger
from bridge.intake import Intake
from bridge.keeping import Keeping, RollingUp
from bridge.pipeline import RETRY_CAP_SECONDS, RETRY_FIRST_SECONDS, Pipeline
from bridge.ports import Source, Store
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
from bridge.retrying import Retrying
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
        decoder = Decoder(every_route(settings))
        app = self.application
        intake = Intake(self.ledger, qos0_limit=settings.mqtt.qos0_limit, batch_limit=settings.store.batch_limit)
        cursor = Cursor()
        over = asyncio.Event()  # from then on nothing is settled any more
        async with open_store(settings.store) as store:
            control = Control(settings.access, settings.devices, store)
            control.setup.on_link = self._print_link
            hub = Hub(store, settings.realtime)
            gate = Gate(settings.realtime)
            registry = Registry(store, hub, settings.devices)
            stays = Stays(control)
            hub.add(stays)
            entrance = Entrance(control, stays, registry, login_seconds=settings.access.login_seconds, audit=control.audit)
            sockets = WebSockets(settings.http, settings.realtime, hub, gate, entrance)
            device_sockets = DeviceSockets(
                settings.devices,
                settings.realtime,
                sockets=sockets,
                hub=hub,
                intake=intake,
                presence=registry,
                credentials=credentials_of(settings.devices, anyone=settings.any_device),
                entrance=entrance,
            )
            source = mqtt.MqttSource(settings.mqtt, intake, self.health, memory=store, publisher=hub)
            commands = Commands(store.commands, registry, settings.devices, socket=device_sockets, mqtt=source)
            SocketIo(settings.http, settings.realtime, app, hub, gate, entrance, presence=registry, commander=commands)
            topics, channels = Topics(app, sockets, hub, registry.place), Channels(app, sockets)
            events = EventsApi(intake.put, lambda: not intake.closed, over)
            admission = Admission(decoder, registry) if settings.devices.registration == "required" else decoder
            pipeline = Pipeline(
                intake=intake,
                decoder=admission,
                store=store,
                publisher=commands,
                ledger=self.ledger,
                health=self.health,
                cursor=cursor,
            )
            posted = HttpSource(settings.http, intake, self.ledger, self.health, over)
            keeping, rolling = Keeping(store), RollingUp(store)
            counters = (
                Counter(
                    "bridge_unknown_keys", "Payload keys that mean no field, by device.", lambda: len(decoder.unknown_keys)
                ),
                Counter("bridge_broker_dropped", "Messages the broker dropped, by its count.", lambda: source.broker_dropped),
                Counter("bridge_rejected_removed", "Removed from a full quarantine.", lambda: keeping.removed.rejected_over),
                Counter("bridge_rollup_hours", "Hours of devices that were rolled up.", lambda: rolling.hours),
                Counter("bridge_posts_refused", "Requests with readings answered 503, by why.", lambda: posted.refused),
                Counter(
                    "bridge_idempotency_keys_forgotten", "Keys for which there was no room.", lambda: posted.keys.forgotten
                ),
                Counter("bridge_events_refused", "Events by HTTP not taken in.", lambda: events.refused),
                *realtime_counters(hub, gate),
                *device_counters(registry, commands),
                *access_counters(control),
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
                retry=Retrying(store.quarantine, admission, intake, over, settings.http.post_seconds).retry,
                registry=registry,
                commands=commands,
                control=control,
                login_seconds=settings.access.login_seconds,
            )
            app.add_routes(device_sockets.routes())
            app.add_routes(WebSocketsApi(topics, channels, hub).routes())
            app.add_routes(events.routes())
            async with _serving(app, settings.http) as self.port, hub.running():
                self.listening.set()
                self._warn_if_open()
                await self._move_readings(
                    store, cursor, hub, intake, pipeline, source, keeping, rolling, registry, commands, control
                )
                over.set()
                await hub.close()
                await registry.close()
                await control.close()
        log.info("stopped")

    async def _move_readings(
        self,
        store: Store,
        cursor: Cursor,
        hub: Hub,
        intake: Intake,
        pipeline: Pipeline,
        source: Source,
        keeping: Keeping,
        rolling: RollingUp,
        registry: Registry,
        commands: Commands,
        control: Control,
    ) -> None:
        """From the store's being ready to `stop`."""
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait(), name="stop requested")
            preparing = tasks.create_task(self._prepare(store, cursor, hub, registry, commands, control), name="prepare store")
            await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                preparing.cancel()
                return
            watching = tasks.create_task(self._watch(store), name="watch store")
            tidying = tasks.create_task(keeping.run(), name="keeping")
            rolling_up = tasks.create_task(rolling.run(), name="rolling up")
            registering = tasks.create_task(registry.run(), name="registry")
            commanding = tasks.create_task(commands.run(), name="commands")
            watching_access = tasks.create_task(control.run(), name="access")
            moving = tasks.create_task(pipeline.run(), name="pipeline")
            receiving = tasks.create_task(source.run(), name="mqtt source")
            await stopping
            log.info("stopping: %d messages to finish", len(intake))
            intake.close()
            # Half of the time is for what has arrived, the other for taking leave of broker, clients and store.
            await asyncio.wait((moving,), timeout=self._settings.stop_seconds / 2)
            for task in (receiving, moving, watching, tidying, rolling_up, registering, commanding, watching_access):
                task.cancel()

    async def _prepare(
        self, store: Store, cursor: Cursor, hub: Hub, registry: Registry, commands: Commands, control: Control
    ) -> None:
        """Wait for the store, and go on above the highest cursor it holds."""
        told = False
        for delay in delays(RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS):
            try:
                cursor.resume_above(await store.prepare())
                await registry.load()
                await commands.load()
                await control.load()
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

    def _warn_if_open(self) -> None:
        http = self._settings.http
        if not self._settings.access.required and not http.is_local:
            log.warning(
                "access is open: whoever reaches port %d on %s may see, send and command; "
                'access.mode = "required" (BRIDGE_ACCESS__MODE) closes it',
                self.port,
                http.host,
            )

    def _print_link(self, secret: str) -> None:
        """On the terminal and not in the log: who reads the log shall not be the first admin."""
        http = self._settings.http
        host = "localhost" if http.is_local or http.host in ("0.0.0.0", "::") else http.host
        scheme = "http" if http.tls.cert_file is None else "https"
        link = f"{scheme}://{host}:{self.port}/#setup={secret}"
        print(f"There is no user yet. Choose the admin's password within an hour, once, at\n  {link}", file=sys.stderr)

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


def every_route(settings: Settings) -> tuple[Route, ...]:
    """Of all ways in."""
    return (*DEVICE_ROUTES, *settings.routes, EVENTS)


@asynccontextmanager
async def _serving(app: web.Application, settings: HttpSettings) -> AsyncIterator[int]:
    """Serve `app`; gives the port, which the system chose if the settings say 0."""
    runner = web.AppRunner(app, logger=request_log(), access_log=None, shutdown_timeout=_HANG_UP_SECONDS)
    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, settings.host, settings.port, ssl_context=settings.tls.context)
        except OSError as error:
            raise SettingsError(f"http.tls: {settings.tls.cert_file}: {error}") from None
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


def access_counters(control: Control) -> tuple[Counter, ...]:
    """Whom the door was closed on."""
    return (
        Counter("bridge_access_refused", "Those who were not let in, by why.", lambda: control.counts),
        Counter("bridge_login_attempts_delayed", "Attempts that came too soon.", lambda: control.lockout.refused),
        Counter("bridge_audit_lost", "Acts that found no place in the audit.", lambda: control.audit.lost),
    )


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
