"""A bridge and its lifetime: opened, run and closed. Nesting is lifetime: inner components end first."""

import asyncio
import errno
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from bridge.api import new_application
from bridge.api.middleware import malformed, unread
from bridge.api.middleware.connections import Connections, allow_open_files
from bridge.api.middleware.request_log import request_log
from bridge.core.errors import PortUnavailable, RuleFileError, StoreInUse, StoreUnavailable
from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.timestamp import iso
from bridge.pipeline.backoff import delays
from bridge.pipeline.clock import ClockWatch, monotonic_seconds
from bridge.pipeline.lease import Lease
from bridge.pipeline.loop import RETRY_CAP_SECONDS, RETRY_FIRST_SECONDS
from bridge.ports import Publisher, Store
from bridge.settings import HttpSettings, Settings
from bridge.settings.certificates import check_certificates
from bridge.settings.section import in_url
from bridge.sources.mqtt import connection
from bridge.sources.mqtt.source import MqttSource
from bridge.stores import open_store
from bridge.wiring import Components, build

log = logging.getLogger(__name__)

STORE, CLOCK = "store", "clock"
_STORE_CHECK_SECONDS = 2.0
_CLOCK_CHECK_SECONDS = 1.0
_ACCEPT_BACKLOG = 4096  # the kernel limits it to `somaxconn`; a client beyond it retries after a second
_SHUTDOWN_SECONDS = 0.2  # aiohttp waits this long for connections to end by themselves, twice


class Bridge:
    """One bridge. Call `run`; `port` is where it listens once `listening` is set."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._refused: StoreInUse | None = None
        self._components: Components | None = None
        self.listening = asyncio.Event()
        self.port = settings.http.port
        self.health = Health((connection.SOURCE, STORE))
        self.ledger = Ledger()
        self.application = new_application(settings.http, required=settings.access.required)
        """Has every route once `listening` is set."""

    def stop(self) -> None:
        self._stopping.set()

    def reload(self) -> None:
        """Read the rules file of alarms again; a bad one leaves the old rules, and is logged."""
        if self._components is not None:
            with suppress(RuleFileError):
                self._components.alarms.rules.reload()

    async def run(self) -> None:
        """Run until `stop`, waiting without limit for broker and store.

        Raises `SettingsError`, `PortUnavailable`, and `StoreInUse` if another bridge stores into the same database.
        """
        settings = self._settings
        check_certificates(settings)
        async with open_store(settings.store) as store:
            components = build(settings, store, self.application, self.ledger, self.health, self._print_link)
            self._components = components
            access, devices, hub = components.access, components.devices, components.realtime.hub
            async with _serving(self.application, settings.http, access.connections) as self.port, hub.running():
                self.listening.set()
                log.info("bridge: listening at %s", self._address)
                self._warn_if_open()
                await self._process(components)
                components.ingress.closed.set()
                await hub.close()
                if self._refused is None:
                    await devices.registry.close()
                    await components.alarms.service.close()
                    await access.service.close()
                await components.storage.lease.release()
        if self._refused is not None:
            raise self._refused
        log.info("bridge: stopped")

    async def _process(self, components: Components) -> None:
        """Process messages, from when the store is ready until `stop`."""
        ingress, storage = components.ingress, components.storage
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait(), name="stop requested")
            preparing = tasks.create_task(self._prepare(components), name="prepare store")
            await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                preparing.cancel()
                return
            if self._refused is not None:
                stopping.cancel()
                return
            jobs = {
                "lease": self._keep_lease(storage.lease),
                "watch store": self._watch(storage.store),
                "watch clock": self._watch_clock(components.realtime.hub),
                "retention": storage.retention.run(),
                "rollups": storage.rollups.run(),
                "registry": components.devices.registry.run(),
                "commands": components.devices.commands.run(),
                "alarms": components.alarms.service.run(),
                "notify": components.alarms.notifier.run(),
                "air": components.devices.air.run(),
                "announcements": components.devices.announcements.run(),
                "survey": components.devices.survey.run(),
                "mqtt out": components.devices.mqtt_out.run(),
                "access": components.access.service.run(),
            }
            running = [tasks.create_task(job, name=name) for name, job in jobs.items()]
            processing = tasks.create_task(ingress.pipeline.run(), name="pipeline")
            receiving = tasks.create_task(ingress.mqtt.run(), name="mqtt source")
            announcing = tasks.create_task(self._announce(ingress.mqtt), name="announce")
            await stopping
            log.info("bridge: stopping: %d messages left to process", len(ingress.intake))
            ingress.intake.close()
            # Half of the time is for messages, the other half for disconnecting from broker, clients and store.
            if self._refused is None:
                await asyncio.wait((processing,), timeout=self._settings.stop_seconds / 2)
            for task in (announcing, receiving, processing, *running):
                task.cancel()

    async def _announce(self, mqtt: MqttSource) -> None:
        """Say once, when everything works for the first time, what the bridge receives and where it stores it."""
        await mqtt.connected.wait()
        patterns = ", ".join(one.pattern for one in self._settings.mqtt.subscriptions)
        log.info(
            "bridge: ready: page at %s, receives %s from %s, stores into %s",
            self._address,
            patterns,
            self._settings.mqtt.address,
            self._settings.store.address,
        )

    async def _prepare(self, components: Components) -> None:
        """Wait for the store, load the components' state, and resume above the highest cursor in the store."""
        storage, devices = components.storage, components.devices
        reported = ""
        for delay in delays(RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS):
            try:
                await storage.store.prepare()
                await storage.lease.acquire(self._wait_for_lease)
                storage.cursor.resume_above(await storage.store.prepare())
                await devices.registry.load()
                await devices.profiles.load()
                await devices.commands.load()
                await devices.locations.load()
                await components.alarms.service.load(storage.cursor.last)
                await devices.subscriptions.load()
                await devices.announcements.load()
                await devices.mqtt_out.load()
                await components.access.service.load()
            except StoreUnavailable as error:
                self.health.down(STORE, str(error))
                if str(error) != reported:
                    log.warning("store: unavailable: %s; readings wait at the broker", error)
                reported = str(error)
            except StoreInUse as error:
                self._refused = error
                return
            else:
                components.realtime.hub.start(storage.cursor.last)
                self.health.up(STORE)
                components.realtime.events.started()
                log.info("store: ready: %s", self._settings.store.address)
                return
            await asyncio.sleep(delay)

    def _wait_for_lease(self, reason: str) -> None:
        self.health.down(STORE, reason)
        log.warning("store: %s", reason)

    async def _keep_lease(self, lease: Lease) -> None:
        """Renew the lease. If another bridge has it, stop without writing anything more."""
        await lease.run()
        self._refused = lease.lost
        self.stop()

    def _warn_if_open(self) -> None:
        http = self._settings.http
        if not self._settings.access.required and not http.is_local:
            log.warning(
                "access: access is open: anyone who reaches port %d on %s may read, publish and send commands; "
                'set access.mode = "required" (BRIDGE_ACCESS__MODE) to require a login',
                self.port,
                http.host,
            )

    def _print_link(self, secret: str) -> None:
        """Print to the terminal and not to the log: readers of the log must not become the first admin."""
        link = f"{self._address}/#setup={secret}"
        print(f"There is no user yet. Choose the admin's password within an hour, once, at\n  {link}", file=sys.stderr)

    @property
    def _address(self) -> str:
        """The address of the page as this machine reaches it."""
        http = self._settings.http
        host = "localhost" if http.is_local or http.host in ("0.0.0.0", "::") else in_url(http.host)
        scheme = "http" if http.tls.cert_file is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def _watch_clock(self, publisher: Publisher) -> None:
        """Say that somebody set the clock: times of readings before and after do not compare."""
        watch = ClockWatch(time.time, monotonic_seconds)
        while True:
            await asyncio.sleep(_CLOCK_CHECK_SECONDS)
            jump = watch.jump()
            if jump is None:
                continue
            text = f"the clock was set {'forward' if jump > 0 else 'back'} by {abs(jump):,.0f} s at {iso(watch.now_ms)}"
            consequence = "readings stored before have times that do not compare with later ones"
            log.warning("bridge: %s: %s; see that the clock is synchronized before the bridge starts", text, consequence)
            self.health.annotate(CLOCK, f"{text}: {consequence}")
            publisher.publish([SystemEvent("warning", text, {"clockJumpSeconds": round(jump, 3)})])

    async def _watch(self, store: Store) -> None:
        """Detect an unavailable store while nothing is written. After a failed write only a write makes it available again."""
        while True:
            try:
                await store.ping()
            except StoreUnavailable as error:
                if self.health.down(STORE, str(error), "ping"):
                    log.warning("store: unavailable: %s; readings wait at the broker until it is available again", error)
            else:
                if self.health.up(STORE, "ping"):
                    log.info("store: available again")
            await asyncio.sleep(_STORE_CHECK_SECONDS)


@asynccontextmanager
async def _serving(app: web.Application, settings: HttpSettings, connections: Connections) -> AsyncIterator[int]:
    """Serve `app` and yield the port, which the system chooses if the settings say 0."""
    connections.limit_by_files(allow_open_files())
    options: dict[str, Any] = {
        "logger": request_log(),
        "access_log": None,
        "keepalive_timeout": settings.idle_seconds,
        "auto_decompress": False,
    }
    runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_SECONDS, **options)
    await runner.setup()
    unread.guard(runner, connections)
    try:
        context = settings.tls.context
        try:
            server = await asyncio.get_running_loop().create_server(
                connections.factory(malformed.handlers(runner, options)),
                settings.host,
                settings.port,
                ssl=context,
                ssl_handshake_timeout=None if context is None else settings.header_seconds,
                backlog=_ACCEPT_BACKLOG,
            )
        except OSError as error:
            reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs more privileges"}
            reason = reasons.get(error.errno or 0, str(error))
            raise PortUnavailable(
                f"port {settings.port} on {settings.host} {reason}: choose another with http.port (BRIDGE_HTTP__PORT)"
            ) from None
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            connections.close()
    finally:
        await runner.cleanup()
