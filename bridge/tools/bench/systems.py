"""What can be measured: a bridge of our own as a process, or one that runs already."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import orjson

import bridge
from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.usage import Usage

_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
_ASK_SECONDS = 5.0
_LOG_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """A system that runs. `root` is the first level of the topics it listens to; `shared` says that others use it too, and
    `ledger` that it keeps an account of what it stored.
    """

    name: str
    address: Address
    broker: MqttSettings
    usage: Usage
    root: str = "sensors"
    shared: bool = False
    ledger: bool = True

    def topic(self, device: str) -> bytes:
        """Where a device publishes."""
        return f"{self.root}/{device}/data".encode()

    async def stored(self) -> int | None:
        """Readings in its ledger since it started; None where that says nothing of ours."""
        if self.shared or not self.ledger:
            return None
        timeout, url = aiohttp.ClientTimeout(_ASK_SECONDS), f"{self.address}/websocket/status"
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=self.address.headers) as session,
            session.get(url) as answer,
        ):
            ledger: dict[str, dict[str, int]] = orjson.loads(await answer.read())["ledger"]
            return sum(account["stored"] for account in ledger.values())


class System(Protocol):
    """Something to measure."""

    name: str

    def started(self) -> AbstractAsyncContextManager[BenchTarget]:
        """Running and ready; ended at the end if we started it. Raises `BridgeError`."""
        ...


class RunningBridge:
    """A bridge that somebody else started; its CPU and memory are known if its process id is."""

    name = "bridge"

    def __init__(self, address: Address, broker: MqttSettings, pid: int | None) -> None:
        """`broker` is the one that it reads from."""
        self._target = BenchTarget(self.name, address, broker, Usage(pid), shared=True)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[BenchTarget]:
        """As it is."""
        yield self._target


class OwnBridge:
    """A bridge as a process of its own, with topics of its own at the broker."""

    name = "bridge"

    def __init__(
        self,
        broker: MqttSettings,
        store: str | None,
        folder: Path,
        *,
        more: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> None:
        """`store` is a URL; without one each start has a new SQLite file under `folder`. `more` are settings, as the
        environment has them; `token` is what opens it if they require that.
        """
        self._more = dict(more or {})
        self._token = token
        self._broker = broker
        self._store = store
        self._folder = folder

    @asynccontextmanager
    async def started(self) -> AsyncIterator[BenchTarget]:
        """Ready."""
        (await MqttPublisher.connect(self._broker)).close()  # or we would wait for a bridge that waits for its broker
        name, port = f"bench-{secrets.token_hex(4)}", free_port()
        folder = self._folder / name
        folder.mkdir(parents=True)
        environment = {
            "BRIDGE_MQTT__URL": self._broker.url.get_secret_value(),
            "BRIDGE_MQTT__CLIENT_ID": name,
            "BRIDGE_MQTT__SESSION_EXPIRY_SECONDS": "60",  # leave nothing at the broker, but outlive a lost connection
            "BRIDGE_MQTT__PROTOCOL": self._broker.protocol,
            "BRIDGE_MQTT__SUBSCRIPTIONS": orjson.dumps([{"pattern": f"{name}/{{deviceId}}/data"}]).decode(),
            "BRIDGE_STORE__URL": self._store or f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_HTTP__PORT": str(port),
            "BRIDGE_LOG__LEVEL": "warning",
            **self._more,
        }
        address = Address("127.0.0.1", port, token=self._token)
        async with child([sys.executable, "-m", "bridge", "run"], environment, folder) as running:
            await answering(f"{address}/health/ready", running, folder)
            yield BenchTarget(self.name, address, self._broker, Usage(running.pid), root=name)


@asynccontextmanager
async def child(command: list[str], environment: dict[str, str], folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours in `folder`, where its log is; without the settings of our own environment. Ended at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    place = str(Path(bridge.__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (place, inherited.get("PYTHONPATH"))))
    with (folder / "log.txt").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,  # no settings file there
            env=inherited | {"PYTHONPATH": paths} | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
    try:
        yield running
    finally:
        await _end(running)


async def _end(running: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        running.terminate()
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(running.wait(), _STOP_SECONDS)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def answering(url: str, running: asyncio.subprocess.Process, folder: Path) -> None:
    """Until a GET is answered with 200. Raises `BridgeError` when our process has ended, or after 30 s."""
    timeout = aiohttp.ClientTimeout(_ASK_SECONDS)
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS), aiohttp.ClientSession(timeout=timeout) as session:
            while running.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
    log = (folder / "log.txt").read_text("utf-8", "replace")[-_LOG_CHARACTERS:]
    state = "is not ready" if running.returncode is None else f"ended with code {running.returncode}"
    raise BridgeError(f"what listens at {url} {state}:\n{log}")


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
