"""A bridge and its lifetime: opened, run and closed. Nesting is lifetime: inner components end first."""

import asyncio
import errno
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from aiohttp import web

from bridge.analysis.retries import keep_running
from bridge.api import new_application
from bridge.api.middleware import malformed, unread
from bridge.api.middleware.connections import Connections, allow_open_files
from bridge.api.middleware.request_log import request_log
from bridge.cluster.leadership import Leadership
from bridge.core.errors import (
    PlaceTaken,
    PortUnavailable,
    RuleFileError,
    SettingsError,
    StoreError,
    StoreInUse,
    StoreUnavailable,
)
from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.timestamp import iso
from bridge.devices.stored_devices import StoredDevices
from bridge.http.handover import HANDOVER, Handover, WorkerSlot
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
from bridge.wiring import build
from bridge.wiring.closing import JOBS_SECONDS, Closing, cancel
from bridge.wiring.components import Components

log = logging.getLogger(__name__)

STORE, CLOCK = "store", "clock"
_STORE_CHECK_SECONDS = 2.0
_CLOCK_CHECK_SECONDS = 1.0
_SOCKETS_SECONDS = 10.0
_ACCEPT_BACKLOG = 4096  # the kernel limits it to `somaxconn`; a client beyond it retries after a second
WORKER_PREPARE_SECONDS = 10.0
"""A worker whose store is not available then accepts connections all the same: its page says what is wrong."""
_SHUTDOWN_SECONDS = 0.2  # aiohttp waits this long for connections to end by themselves, twice


class Bridge:
    """One bridge. Call `run`; `port` is where it listens once `listening` is set."""

    def __init__(self, settings: Settings, worker: WorkerSlot | None = None) -> None:
        """`worker` is given to a bridge that shares its port with others."""
        self._settings = settings
        self._handover = None if worker is None else Handover(worker)
        self._stopping = asyncio.Event()
        self._prepared = asyncio.Event()
        self._refused: StoreInUse | None = None
        self._components: Components | None = None
        self.on_stopping: Callable[[], object] = lambda: None
        """Called once the bridge stops, for whatever reason. May be called again."""
        self.listening = asyncio.Event()
        self.port = settings.http.port
        self.health = Health((connection.SOURCE, STORE), clock=_now_ms)
        self.ledger = Ledger()
        self.application = new_application(settings.http, required=settings.access.required)
        """Has every route once `listening` is set."""
        if self._handover is not None:
            self.application[HANDOVER] = self._handover
        self.application.on_response_prepare.append(self._end_connection)

    def stop(self) -> None:
        self._stopping.set()
        self.on_stopping()

    def reload(self) -> None:
        """Read the rules file of alarms again; a bad one leaves the old rules, and is logged."""
        if self._components is not None:
            with suppress(RuleFileError):
                self._components.alarms.rules.reload()

    async def run(self) -> None:
        """Run until `stop`, waiting without limit for broker and store.

        Raises `SettingsError`, `PortUnavailable`, `StoreInUse` if another bridge stores into the same database, and
        `StopIncomplete` if a part was not closed in time.
        """
        settings, closing = self._settings, Closing()
        check_certificates(settings)
        async with open_store(settings.store) as store:
            components = build(settings, store, self.application, self.ledger, self.health, self._print_link)
            self._components = components
            serving = _serving(self.application, settings.http, components.access.connections, self._handover)
            async with serving as server, components.realtime.hub.running():
                self.port = server.sockets[0].getsockname()[1]
                listening = asyncio.create_task(self._run_job(self._listen(server)), name="listen")
                try:
                    await self._process_until_stopped(components, closing)
                finally:
                    await cancel((listening,))
                if not listening.cancelled():
                    listening.result()
                components.ingress.closed.set()
                server.close()  # clients that are disconnected now reconnect elsewhere, not here
                await closing.close_all(components, may_write=self._refused is None)
        if self._refused is not None:
            raise self._refused
        closing.check()
        log.info("bridge: stopped")

    async def _listen(self, server: asyncio.Server) -> None:
        """Accept connections; as one of several workers only once readings can be sent to a client that connects.

        Another worker would accept that client, and it would miss what is stored in between.
        """
        if self._handover is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(WORKER_PREPARE_SECONDS):
                    await self._prepared.wait()
            await server.start_serving()
        self.listening.set()
        log.info("bridge: listening at %s", self._address)
        self._warn_if_open()

    async def _process_until_stopped(self, components: Components, closing: Closing) -> None:
        """Process messages until `stop`, and leave behind the jobs that do not end then."""
        processing = asyncio.create_task(self._process(components), name="process messages")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop requested")
        try:
            await asyncio.wait((processing, stopping), return_when=asyncio.FIRST_COMPLETED)
            await closing.end("jobs", processing, self._settings.stop_seconds / 2 + JOBS_SECONDS)
        except asyncio.CancelledError:
            processing.cancel()
            await asyncio.wait((processing,), timeout=JOBS_SECONDS)
            raise
        finally:
            stopping.cancel()

    async def _process(self, components: Components) -> None:
        """Process messages, from when the store is ready until `stop`."""
        ingress, storage = components.ingress, components.storage
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait(), name="stop requested")
            preparing = tasks.create_task(self._prepare(components), name="prepare store")
            await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                await cancel((preparing,))
                return
            if self._refused is not None:
                stopping.cancel()
                return
            jobs = {
                "lease": self._keep_lease(storage.lease),
                "watch store": self._watch(storage.store),
                "watch clock": self._watch_clock(components.realtime.hub),
                "loop delay": components.meters.loop_delay.run(),
                "rollups": storage.rollups.run(),
                "registry": components.devices.registry.run(),
                "commands": components.devices.commands.run(),
                "alarms": components.alarms.service.run(),
                "air": components.devices.air.run(),
                "announcements": components.devices.announcements.run(),
                "message rates": components.devices.rates.run(),
                "survey": components.devices.survey.run(),
                "access": components.access.service.run(),
            }
            if components.cluster is None:
                jobs["lead"] = lead(components, self.health)
                jobs["stored devices"] = StoredDevices(storage.store, components.devices.registry.adopt_stored).run()
            else:
                components.cluster.leadership.lead = partial(lead, components, self.health)
                jobs["cluster"] = components.cluster.run()
            jobs["mqtt source"] = ingress.mqtt.run() if components.cluster is None else components.cluster.receive_messages()
            jobs["announce"] = self._announce(ingress.mqtt)
            running = [tasks.create_task(self._run_job(job), name=name) for name, job in jobs.items()]
            processing = tasks.create_task(self._run_job(ingress.pipeline.run()), name="pipeline")
            await stopping
            self.health.stop()
            log.info("bridge: stopping: %d messages left to process", len(ingress.intake))
            ingress.intake.close()
            # Half of the time is for messages, the other half for disconnecting from broker, clients and store.
            if self._refused is None:
                await asyncio.wait((processing,), timeout=self._settings.stop_seconds / 2)
            await cancel((processing, *running))

    async def _run_job(self, job: Coroutine[Any, Any, None]) -> None:
        """Run a job. If it fails the bridge stops: the other jobs have to end in time then."""
        try:
            await job
        except Exception:
            self.stop()
            raise

    async def _announce(self, mqtt: MqttSource) -> None:
        """Say once, when everything works for the first time, what the bridge receives and where it stores it."""
        await mqtt.connected.wait()
        patterns = ", ".join(one.pattern for one in self._settings.mqtt.subscriptions)
        log.info(
            "bridge: ready: page at %s, %s from %s, stores into %s",
            self._address,
            f"receives {patterns}" if mqtt.receives else "another bridge of the cluster receives",
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
                last = storage.cursor.last if components.cluster is None else await components.cluster.prepare()
                await devices.registry.load()
                await devices.profiles.load()
                await devices.commands.load()
                await devices.locations.load()
                await components.alarms.service.load(last)
                if components.cluster is None and components.analysis.forecasts is not None:
                    await components.analysis.forecasts.load()
                components.analysis.feed.start_after(last)
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
            except (StoreError, PlaceTaken) as error:
                raise SettingsError(f"cluster: {error}") from None
            else:
                components.realtime.hub.start(last)
                self._prepared.set()
                self.health.up(STORE)
                components.realtime.events.started()
                log.info("store: ready: %s", self._settings.store.address)
                return
            await asyncio.sleep(delay)

    def _wait_for_lease(self, reason: str) -> None:
        self.health.down(STORE, reason)
        log.warning("store: %s", reason)

    async def _keep_lease(self, lease: Lease | Leadership) -> None:
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
        name = self._settings.access.admin_name
        link = f"{self._address}/#setup={secret}&user={quote(name, safe='')}"
        print(f"There is no user yet. Choose the password of {name!r} within an hour, once, at\n  {link}", file=sys.stderr)

    async def _end_connection(self, _: web.Request, response: web.StreamResponse) -> None:
        """While the bridge stops, close each connection after its response: its client shall connect elsewhere."""
        if self._stopping.is_set():
            response.force_close()

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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def lead(components: Components, health: Health) -> None:
    """Do what one bridge does for all, until cancelled."""
    alarms, mqtt_out = components.alarms, components.devices.mqtt_out
    cluster, mqtt, analysis = components.cluster, components.ingress.mqtt, components.analysis
    try:
        if cluster is not None:
            await alarms.service.lead()
            if analysis.forecasts is not None:
                await analysis.forecasts.load()
            await mqtt_out.load()
            if mqtt.is_shared:
                mqtt.watch_drops(enabled=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(components.storage.retention.run(), name="retention")
            tasks.create_task(alarms.notifier.run(), name="notify")
            tasks.create_task(mqtt_out.run(), name="mqtt out")
            for name, follower in (
                ("advice", analysis.advice),
                ("forecasts", analysis.forecasts),
                ("anomalies", analysis.anomalies),
            ):
                if follower is not None:
                    tasks.create_task(keep_running(follower.run, name, partial(health.annotate, name)), name=name)
            if cluster is not None:
                tasks.create_task(end_unowned_sockets(components), name="unowned sockets")
    finally:
        mqtt_out.is_started = False
        if cluster is not None:
            if mqtt.is_shared:
                mqtt.watch_drops(enabled=False)
            cluster.follow_leader()


async def end_unowned_sockets(components: Components) -> None:
    """Wait until the other bridges have said which devices have sockets there, then take the others offline."""
    await asyncio.sleep(_SOCKETS_SECONDS)
    components.devices.registry.end_unowned_sockets()


@asynccontextmanager
async def _serving(
    app: web.Application, settings: HttpSettings, connections: Connections, handover: Handover | None
) -> AsyncIterator[asyncio.Server]:
    """Serve `app` and yield the server, whose port the system chooses if the settings say 0. A worker's does not listen yet."""
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
            factory = connections.factory(malformed.handlers(runner, options))
            server = await asyncio.get_running_loop().create_server(
                factory,
                settings.host,
                settings.port,
                ssl=context,
                ssl_handshake_timeout=None if context is None else settings.header_seconds,
                backlog=_ACCEPT_BACKLOG,
                reuse_port=handover is not None or None,
                start_serving=handover is None,
            )
        except OSError as error:
            reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs more privileges"}
            reason = reasons.get(error.errno or 0, str(error))
            raise PortUnavailable(
                f"port {settings.port} on {settings.host} {reason}: choose another with http.port (BRIDGE_HTTP__PORT)"
            ) from None
        try:
            with nullcontext() if handover is None else handover.receiving(factory):
                yield server
        finally:
            server.close()
            connections.close()
    finally:
        await runner.cleanup()
