"""A bridge and its life: opened, run and closed. The nesting is the lifecycle: what stands inside lives shorter."""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bridge.api import new_application
from bridge.api.middleware.connections import Connections, allow_open_files
from bridge.api.middleware.request_log import request_log
from bridge.core.errors import PortUnavailable, SettingsError, StoreUnavailable
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.pipeline.backoff import delays
from bridge.pipeline.loop import RETRY_CAP_SECONDS, RETRY_FIRST_SECONDS
from bridge.ports import Store
from bridge.settings import HttpSettings, Settings
from bridge.sources.mqtt import source
from bridge.stores import open_store
from bridge.wiring import Components, build

log = logging.getLogger(__name__)

STORE = "store"
_STORE_CHECK_SECONDS = 2.0
_BACKLOG = 4096  # the kernel allows as many as `somaxconn`; who does not fit in comes again after a second
_HANG_UP_SECONDS = 0.2  # aiohttp waits this long for connections to end by themselves, twice


class Bridge:
    """One bridge. `run` is all there is to call; `port` is where it listens once `listening` is set."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened before `run`."""
        self._settings = settings
        self._stopping = asyncio.Event()
        self.listening = asyncio.Event()
        self.port = settings.http.port
        self.health = Health((source.SOURCE, STORE))
        self.ledger = Ledger()
        self.application = new_application(settings.http, required=settings.access.required)
        """Has every route once `listening` is set."""

    def stop(self) -> None:
        """Ask `run` to finish what has arrived and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Raises `PortUnavailable` when the port is not to be had; waits for broker and store as long as it takes."""
        settings = self._settings
        async with open_store(settings.store) as store:
            parts = build(settings, store, self.application, self.ledger, self.health, self._print_link)
            async with _serving(self.application, settings.http, parts.connections) as self.port, parts.hub.running():
                self.listening.set()
                self._warn_if_open()
                await self._move_readings(parts)
                parts.closed.set()
                await parts.hub.close()
                await parts.registry.close()
                await parts.control.close()
        log.info("stopped")

    async def _move_readings(self, parts: Components) -> None:
        """From the store's being ready to `stop`."""
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait(), name="stop requested")
            preparing = tasks.create_task(self._prepare(parts), name="prepare store")
            await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                preparing.cancel()
                return
            loops = {
                "watch store": self._watch(parts.store),
                "keeping": parts.keeping.run(),
                "rolling up": parts.rolling.run(),
                "registry": parts.registry.run(),
                "commands": parts.commands.run(),
                "access": parts.control.run(),
            }
            running = [tasks.create_task(loop, name=name) for name, loop in loops.items()]
            moving = tasks.create_task(parts.pipeline.run(), name="pipeline")
            receiving = tasks.create_task(parts.source.run(), name="mqtt source")
            await stopping
            log.info("stopping: %d messages to finish", len(parts.intake))
            parts.intake.close()
            # Half of the time is for what has arrived, the other for taking leave of broker, clients and store.
            await asyncio.wait((moving,), timeout=self._settings.stop_seconds / 2)
            for task in (receiving, moving, *running):
                task.cancel()

    async def _prepare(self, parts: Components) -> None:
        """Wait for the store, and go on above the highest cursor it holds."""
        told = False
        for delay in delays(RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS):
            try:
                parts.cursor.resume_above(await parts.store.prepare())
                await parts.registry.load()
                await parts.commands.load()
                await parts.control.load()
            except StoreUnavailable as error:
                self.health.down(STORE, str(error))
                if not told:
                    log.warning("waiting for the store: %s", error)
                told = True
            else:
                parts.hub.start(parts.cursor.last)
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


@asynccontextmanager
async def _serving(app: web.Application, settings: HttpSettings, connections: Connections) -> AsyncIterator[int]:
    """Serve `app`; gives the port, which the system chose if the settings say 0."""
    connections.share(allow_open_files())
    runner = web.AppRunner(
        app,
        logger=request_log(),
        access_log=None,
        shutdown_timeout=_HANG_UP_SECONDS,
        keepalive_timeout=settings.idle_seconds,
    )
    await runner.setup()
    try:
        try:
            context = settings.tls.context
        except OSError as error:
            raise SettingsError(f"http.tls: {settings.tls.cert_file}: {error}") from None
        try:
            server = await asyncio.get_running_loop().create_server(
                connections.factory(runner),
                settings.host,
                settings.port,
                ssl=context,
                ssl_handshake_timeout=None if context is None else settings.header_seconds,
                backlog=_BACKLOG,
            )
        except OSError as error:
            why = {errno.EADDRINUSE: "is in use", errno.EACCES: "is not ours to use"}.get(error.errno or 0, str(error))
            raise PortUnavailable(
                f"port {settings.port} on {settings.host} {why}: choose another with http.port (BRIDGE_HTTP__PORT)"
            ) from None
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            connections.close()
    finally:
        await runner.cleanup()
