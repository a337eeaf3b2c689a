"""Several bridges of one cluster on one machine, behind one port: `sensor-bridge run --workers N`.

Each worker is a process that listens on the port itself (SO_REUSEPORT), so the kernel spreads connections over them. The
supervisor starts them, starts one that ended again, and ends them all. It accepts nothing.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bridge.core.errors import PortUnavailable
from bridge.tools.bind_once import bind_once
from bridge.tools.child import bound_command

log = logging.getLogger(__name__)

_RESTART_SECONDS = (0.5, 30.0)
_STEADY_SECONDS = 60.0
_WRONG_SETTINGS = 2
_KILL_SECONDS = 2.0
"""A worker ends by itself within `stop_seconds`; one that still runs after this time more is killed."""
_SUPERVISOR_SECONDS = 1.0


@dataclass(slots=True)
class Workers:
    """`command_of` returns the command of a worker by its number, from 1; `environ` is that of all.

    A worker that was told to stop ends within `stop_seconds`.
    """

    count: int
    command_of: Callable[[int], list[str]]
    environ: Mapping[str, str]
    stop_seconds: float
    failed: int = 0
    """The exit code of a worker with wrong settings: then all are stopped."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    def stop(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def reload(self) -> None:
        self._signal(signal.SIGHUP)

    async def run(self) -> None:
        """Run all workers until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, self.count + 1):
                tasks.create_task(self._keep(number), name=f"worker {number}")

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        delay_seconds = _RESTART_SECONDS[0]
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run(number)
            if self._stopping.is_set():
                return
            if code == _WRONG_SETTINGS:
                self.failed = code
                self.stop()
                return
            if loop.time() - started >= _STEADY_SECONDS:
                delay_seconds = _RESTART_SECONDS[0]
            log.error("workers: worker %d ended (%s): its clients reconnect; again in %g s", number, _how(code), delay_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_seconds):
                    await self._stopping.wait()
            delay_seconds = min(delay_seconds * 2, _RESTART_SECONDS[1])

    async def _run(self, number: int) -> int:
        """Run a worker once, and return its exit code; negative for a signal."""
        process = await asyncio.create_subprocess_exec(
            *bound_command(self.command_of(number)), env=self.environ, start_new_session=True
        )
        self._running[number] = process
        log.info("workers: worker %d of %d started, pid %d", number, self.count, process.pid)
        try:
            if self._stopping.is_set():
                process.terminate()
            ended, stopping = asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not ended.done():
                await asyncio.wait((ended,), timeout=self.stop_seconds + _KILL_SECONDS)
            if not ended.done():
                log.error("workers: worker %d does not stop: killed", number)
                process.kill()
            return await ended
        finally:
            del self._running[number]

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)


async def supervisor_ended(pid: int) -> None:
    """Return when the supervisor of this worker has ended. It ends its workers, unless it is killed."""
    while os.getppid() == pid:  # noqa: ASYNC110 - no event tells of it on every system
        await asyncio.sleep(_SUPERVISOR_SECONDS)
    log.warning("workers: the supervisor, pid %d, has ended: this worker stops", pid)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@contextmanager
def shared_port(host: str, port: int) -> Iterator[int]:
    """Hold a port that workers share, without listening, and yield its number; 0 is any free port. Raises `PortUnavailable`."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise PortUnavailable("workers share a port with SO_REUSEPORT, which this system does not have: run one bridge")
    sockets: list[socket.socket] = []
    try:
        try:
            bind_once(host, port)  # refuses a port where other workers listen
            for family, kind, protocol, _, address in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                held = socket.socket(family, kind, protocol)
                sockets.append(held)
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                held.bind((address[0], port or _port_of(sockets[0]), *address[2:]))
        except OSError as error:
            raise PortUnavailable(
                f"port {port} on {host}: {os.strerror(error.errno or 0)}: choose another with http.port (BRIDGE_HTTP__PORT)"
            ) from None
        yield _port_of(sockets[0])
    finally:
        for held in sockets:
            held.close()


def _port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1]) if held.getsockname()[1] else 0
