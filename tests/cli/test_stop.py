"""`sensor-bridge run` as real processes that are told to stop while what they need is gone, or a part of them never ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import socketio

from tests.cli.test_cli import Command, environ_of, running
from tests.cli.test_workers import is_alive, pids_of, workers
from tests.servers import Mongod, Mosquitto, free_port, until

STOP_SECONDS = 60.0  # generous: a bridge ends within 12 s of its own

BROKEN = """
import asyncio, time
from bridge.pipeline.lease import Lease
from bridge.stores.sqlite.store import SqliteStore

async def never(*_):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def blocked(*_):
    time.sleep(3600)

{}
from bridge.cli.main import main
main()
"""
"""The command with a part that never ends, as a call of a library that lost its cancellation."""


class BrokenCommand(Command):
    """`sensor-bridge` with a fault."""

    async def start_broken(self, fault: str, *arguments: str) -> None:
        (self._folder / "broken.py").write_text(BROKEN.format(fault))
        self._environ["PYTHONPATH"] += os.pathsep + str(self._folder)
        await self.start(*arguments, module="broken")


async def stopped(folder: Path, fault: str, **environ: str) -> tuple[int, str, float]:
    """The exit code and the log of a bridge with a fault that was told to stop twice, and how long it took."""
    command = BrokenCommand(folder, {"BRIDGE_HTTP__PORT": "0", "BRIDGE_STORE__URL": "sqlite:///b.db", **environ})
    await command.start_broken(fault, "run")
    try:
        await until(lambda: "store: ready" in command.err or not command.running, what="the store")
        began = time.monotonic()
        command.signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        with suppress(ProcessLookupError):  # on a busy machine it may have ended by now
            command.signal(signal.SIGTERM)
        return await command.end(), command.err, time.monotonic() - began
    finally:
        await command.kill()


async def test_a_part_that_never_closes_is_named_and_left_behind(tmp_path: Path) -> None:
    code, log, seconds = await stopped(tmp_path, "Lease.release = never")
    assert "bridge: stopping: lease: still not closed after 1.5 s: left behind" in log
    assert "bridge: stopped, but not closed in time: lease" in log
    assert (code, seconds < STOP_SECONDS) == (1, True)


async def test_a_process_that_never_ends_says_what_it_waited_for_and_exits(tmp_path: Path) -> None:
    code, log, seconds = await stopped(tmp_path, "SqliteStore.__aexit__ = never", BRIDGE_STOP_SECONDS="0.1")
    assert (
        "exit: still not stopped after 8.1 s: ended with exit code 1; it waited for: Task-1 (Bridge.run in bridge/app.py:"
        in log
    )
    assert (code, seconds < STOP_SECONDS) == (1, True)


BLOCKED = """
import asyncio, logging, threading, time
from bridge.wiring.exit_deadline import ExitDeadline

def blocked():
    time.sleep(3600)

async def main():
    logging.basicConfig()
    threading.Thread(target=blocked, name="other").start()
    deadline = ExitDeadline(3)
    deadline.start()
    deadline.start()
    blocked()

asyncio.run(main())
"""


async def test_a_process_whose_event_loop_and_threads_are_blocked_exits_at_its_deadline() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BLOCKED), env=environ_of({}), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(STOP_SECONDS):
        _, log = await process.communicate()
    assert process.returncode == 1
    assert b"thread MainThread (blocked in <string>:6); thread other (blocked in <string>:6)" in log


async def stopped_before_it_was_ready(command: Command, waits: str) -> int:
    await until(lambda: waits in command.err or not command.running, what=waits)
    command.signal(signal.SIGTERM)
    code = await command.end()
    assert "bridge.app: bridge: stopped" in command.err
    return code


async def test_a_bridge_that_waits_for_its_store_stops(tmp_path: Path) -> None:
    url = f"mongodb://127.0.0.1:{free_port()}/b"
    async with running(tmp_path, "run", BRIDGE_HTTP__PORT="0", BRIDGE_STORE__URL=url) as command:
        assert await stopped_before_it_was_ready(command, "store: unavailable: MongoDB: ServerSelectionTimeoutError") == 0


async def test_a_bridge_that_waits_for_the_lease_of_another_one_stops(tmp_path: Path) -> None:
    environ = {"BRIDGE_HTTP__PORT": "0", "BRIDGE_STORE__URL": f"sqlite:///{tmp_path}/b.db"}
    async with running(tmp_path / "one", "run", **environ) as one:
        await until(lambda: "store: ready" in one.err or not one.running, what="the store")
        async with running(tmp_path / "two", "run", BRIDGE_STORE__WAIT_SECONDS="60", **environ) as two:
            assert await stopped_before_it_was_ready(two, "store: in use by bridge") == 0


PARENT = """
import os, subprocess, sys
worker = subprocess.Popen([*sys.argv[1:], "--worker-of", str(os.getpid())])
print(worker.pid, flush=True)
worker.wait()
"""


async def test_a_worker_ends_with_its_supervisor_where_the_system_does_not_end_it(tmp_path: Path) -> None:
    """Started without `bound_command`, which has Linux send a signal."""
    environ = environ_of({"BRIDGE_HTTP__PORT": "0", "BRIDGE_STORE__URL": f"sqlite:///{tmp_path}/b.db"})
    command = [sys.executable, "-m", "bridge", "run", "--worker", "1", "--worker-folder", str(tmp_path)]
    with (tmp_path / "err.txt").open("wb") as err:
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PARENT, *command), env=environ, stdout=asyncio.subprocess.PIPE, stderr=err
        )
    assert supervisor.stdout is not None
    pid = int(await supervisor.stdout.readline())
    log = tmp_path / "err.txt"
    try:
        await until(lambda: "store: ready" in log.read_text(), what="the store")
        supervisor.kill()
        await supervisor.wait()
        await until(lambda: not is_alive(pid), STOP_SECONDS, "the end of the worker")
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    assert f"workers: the supervisor, pid {supervisor.pid}, has ended: this worker stops" in log.read_text()
    assert "bridge.app: bridge: stopped" in log.read_text()


async def test_workers_end_when_supervisor_store_and_broker_are_killed_under_load(tmp_path: Path) -> None:
    broker, mongod = Mosquitto(tmp_path / "mosquitto"), Mongod(tmp_path / "mongod")
    broker.start()
    mongod.start()
    try:
        async with workers(tmp_path, 2, broker.url, mongod.url) as (command, url), AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            clients = [socketio.AsyncClient(reconnection=False) for _ in range(4)]
            for client, transport in zip(clients, ("polling", "websocket") * 2, strict=True):
                await client.connect(url, transports=[transport], wait_timeout=30)
            sockets = [await stack.enter_async_context(http.ws_connect(f"{url}/ws")) for _ in range(4)]
            reading = [asyncio.create_task(_read(http, f"{url}/api/v1/readings?limit=1")) for _ in range(40)]
            pids = pids_of(command).values()
            mongod.kill()
            broker.kill()
            command.signal(signal.SIGKILL)
            await until(lambda: not any(map(is_alive, pids)), STOP_SECONDS, "the end of all workers")
            await asyncio.gather(*reading)
            for client in clients:
                await client.disconnect()
            for socket in sockets:
                await socket.close()
            assert command.err.count("bridge.app: bridge: stopped") == 2, command.err
            assert "Traceback" not in command.err
    finally:
        for server in (mongod, broker):
            if server.is_running:
                server.kill()


async def _read(http: aiohttp.ClientSession, url: str) -> None:
    """Read from the store until the bridge is gone."""
    while True:
        try:
            async with http.get(url) as response:
                await response.read()
        except aiohttp.ClientError:
            return
