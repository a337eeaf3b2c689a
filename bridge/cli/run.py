"""`sensor-bridge run`: one bridge, or several workers behind one port."""

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.logs import log_to_stderr
from bridge.cli.runner import FAILED, ConfigOption, run_loop
from bridge.core.errors import SettingsError, StopIncomplete
from bridge.settings import Settings
from bridge.settings.loader import load_settings
from bridge.tools.stop_signals import on_stop_signals

log = logging.getLogger(__name__)

_CLUSTER = "workers"
"""The name of the cluster of workers, unless one is set."""


def run(
    config: ConfigOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Run this many bridges behind one port, as a cluster.")
    ] = None,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
    worker_folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
    worker_of: Annotated[int | None, typer.Option(hidden=True, help="Process id of the supervisor.")] = None,
) -> None:
    """Run the bridge."""
    settings = load_settings(config)
    log_to_stderr(settings, worker)
    if workers is not None and workers > 1:
        _supervise(settings, config, workers)
    else:
        _run(settings, worker, worker_folder, worker_of)


def _run(settings: Settings, worker: int | None, folder: Path | None, supervisor: int | None) -> None:
    from bridge.app import Bridge
    from bridge.http.handover import WorkerSlot
    from bridge.wiring.exit_deadline import ExitDeadline

    slot = WorkerSlot(worker, folder) if worker is not None and folder is not None else None

    async def bridge() -> None:
        running = Bridge(settings, slot)
        deadline = ExitDeadline(settings.stop_limit_seconds)
        running.on_stopping = deadline.start
        on_stop_signals(running.stop, running.reload)
        watching = None if supervisor is None else asyncio.create_task(_stop_with(supervisor, running.stop), name="supervisor")
        code = 0
        try:
            await running.run()
        except StopIncomplete as error:
            log.error("%s", error)  # noqa: TRY400 - the text says where
            code = FAILED
        finally:
            deadline.start()
            if watching is not None:
                watching.cancel()
        # Everything is closed. Python would still wait for driver threads that wait for an unavailable server.
        logging.shutdown()
        os._exit(code)

    run_loop(bridge())


async def _stop_with(supervisor: int, stop: Callable[[], None]) -> None:
    from bridge.tools.workers import supervisor_ended

    await supervisor_ended(supervisor)
    stop()


def _supervise(settings: Settings, config: Path | None, count: int) -> None:
    from bridge.tools.workers import Workers, shared_port

    _check(settings)
    environ = dict(os.environ)
    if settings.cluster.name is None:
        environ["BRIDGE_CLUSTER__NAME"] = _CLUSTER
        log.info("workers: cluster.name is not set: the cluster is named %r", _CLUSTER)

    with (
        tempfile.TemporaryDirectory(prefix="sensor-bridge-") as folder,
        shared_port(settings.http.host, settings.http.port) as port,
    ):
        environ["BRIDGE_HTTP__PORT"] = str(port)
        options = [] if config is None else ["--config", str(config)]

        def command_of(number: int) -> list[str]:
            own = ["--worker", str(number), "--worker-folder", folder, "--worker-of", str(os.getpid())]
            return [sys.executable, "-m", "bridge", "run", *options, *own]

        async def supervise() -> int:
            running = Workers(count, command_of, environ, settings.stop_limit_seconds)
            on_stop_signals(running.stop, running.reload)
            await running.run()
            return running.failed

        code = run_loop(supervise())
    if code:
        sys.exit(code)


def _check(settings: Settings) -> None:
    """Raises `SettingsError` if several bridges cannot run with these settings."""
    if settings.store.is_sqlite:
        raise SettingsError("--workers: store.url names a SQLite file: several bridges need MongoDB")
    if settings.cluster.place is not None:
        raise SettingsError("--workers: cluster.place is set: each worker takes a place of its own, leave it unset")
    if settings.http.tls.cert_file is not None:
        raise SettingsError("--workers: http.tls is set: workers pass connections on, so let a proxy terminate TLS")
