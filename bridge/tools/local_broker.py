"""A local broker for demos and benchmarks: `mosquitto` where it is installed, else amqtt in this process.

Not for production: amqtt carries a few hundred messages per second and loses everything at a restart.
"""

import asyncio
import getpass
import logging
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from bridge.core.errors import BridgeError, PortUnavailable
from bridge.settings.section import in_url
from bridge.tools.bind_once import bind_once
from bridge.tools.child import bound_command

_SYSTEM_PATHS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_START_SECONDS = 10.0
_RESTART_SECONDS = (0.5, 30.0)
_STEADY_SECONDS = 60.0
_STOP_SECONDS = 5.0

Protocol = Literal["5", "3.1.1"]


@asynccontextmanager
async def embedded_broker(
    host: str, port: int, data: Path, say: Callable[[str], None] | None = None
) -> AsyncIterator[tuple[str, Protocol]]:
    """Run a broker; yield its name and the newest MQTT version it supports. Raises `PortUnavailable`.

    With `say`, a broker that ends is started again, and each time a sentence says so.
    """
    _check_free(host, port)
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_PATHS)
    if mosquitto:
        async with _mosquitto(mosquitto, host, port, data / "mosquitto", say):
            yield "mosquitto", "5"
    else:
        async with _amqtt(host, port):
            yield "amqtt", "3.1.1"


def _check_free(host: str, port: int) -> None:
    try:
        bind_once(host, port)
    except OSError as error:
        raise PortUnavailable(
            f"port {port} on {host} for the MQTT broker: {error.strerror}: choose another with mqtt.url "
            f"(BRIDGE_MQTT__URL=mqtt://localhost:{port + 1})"
        ) from None


@asynccontextmanager
async def _mosquitto(
    program: str, host: str, port: int, folder: Path, say: Callable[[str], None] | None
) -> AsyncIterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    lines = [
        f"listener {port} {host}",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder.resolve()}/",
        "autosave_interval 5",
        "max_queued_messages 100000",
        "set_tcp_nodelay true",
    ]
    if os.geteuid() == 0:
        lines.append(f"user {getpass.getuser()}")
    config.write_text("\n".join(lines) + "\n")
    broker = _Mosquitto([program, "-c", str(config)], host, port, folder / "mosquitto.log")
    await broker.start()
    keeping = asyncio.create_task(broker.keep_running(say), name="broker") if say else None
    try:
        yield
    finally:
        if keeping:
            keeping.cancel()
            await asyncio.wait((keeping,))
        await broker.stop()


class _Mosquitto:
    """A process that ends with this one."""

    def __init__(self, command: list[str], host: str, port: int, log_file: Path) -> None:
        self._command = command
        self._host = host
        self._port = port
        self._log_file = log_file
        self._process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start it and wait until it answers. Raises `BridgeError`.

        In a separate session, so that Ctrl-C does not stop the broker before the bridge has acknowledged its messages.
        """
        with self._log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *bound_command(self._command), stdout=output, stderr=output, start_new_session=True
            )
        try:
            await _wait_until_ready(self._host, self._port, self._process, self._log_file)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await stop_process(self._process, _STOP_SECONDS)

    async def keep_running(self, say: Callable[[str], None]) -> None:
        """Start it again whenever it ends, after a delay that grows while it does not stay."""
        delay = _RESTART_SECONDS[0]
        while True:
            started = time.monotonic()
            reason = _reason(await self._process.wait())
            if time.monotonic() - started > _STEADY_SECONDS:
                delay = _RESTART_SECONDS[0]
            while True:
                say(f"broker: mosquitto {reason}: starting it again in {delay:g} s")
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RESTART_SECONDS[1])
                try:
                    await self.start()
                except (BridgeError, OSError) as error:
                    reason = f"did not start ({error})"
                else:
                    break
            say("broker: mosquitto runs again")


def _reason(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


async def stop_process(process: asyncio.subprocess.Process, timeout_seconds: float) -> None:
    """Send SIGTERM, then SIGKILL after the timeout or if the task is cancelled."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), timeout_seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _wait_until_ready(host: str, port: int, process: asyncio.subprocess.Process, log_file: Path) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(host, port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return
    except TimeoutError:
        raise BridgeError(f"mosquitto did not answer on port {port} within {_START_SECONDS:g} s; see {log_file}") from None
    raise BridgeError(f"mosquitto exited at start with code {process.returncode}; see {log_file}")


@asynccontextmanager
async def _amqtt(host: str, port: int) -> AsyncIterator[None]:
    try:
        from amqtt.broker import Broker
    except ImportError:
        raise BridgeError(
            "no MQTT broker found: install mosquitto (Debian: apt-get install mosquitto), or pip install amqtt"
        ) from None
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{in_url(host)}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()
