"""The systems to measure: a bridge started as a process, or a running one."""

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
from bridge.tools.child import bound_command
from bridge.tools.local_broker import stop_process

_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
_REQUEST_SECONDS = 5.0
_LOG_TAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """A running system. `root` is the first level of its topics, `shared`: it has other clients, `ledger`: it counts what it
    stores.
    """

    name: str
    address: Address
    broker: MqttSettings
    usage: Usage
    root: str = "sensors"
    shared: bool = False
    ledger: bool = True

    def topic(self, device: str) -> bytes:
        return f"{self.root}/{device}/data".encode()

    async def stored(self) -> int | None:
        """Return the readings stored since the start; None if unknown or if other clients publish too."""
        if self.shared or not self.ledger:
            return None
        timeout, url = aiohttp.ClientTimeout(_REQUEST_SECONDS), f"{self.address}/websocket/status"
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=self.address.headers) as session,
            session.get(url) as response,
        ):
            ledger: dict[str, dict[str, int]] = orjson.loads(await response.read())["ledger"]
            return sum(account["readings"] for account in ledger.values())


class System(Protocol):
    name: str

    def started(self) -> AbstractAsyncContextManager[BenchTarget]:
        """The running system; stopped at the end if the bench started it. Raises `BridgeError`."""


class RunningBridge:
    """A bridge that was not started by the bench; CPU and memory are known if `pid` is."""

    name = "bridge"

    def __init__(self, address: Address, broker: MqttSettings, pid: int | None) -> None:
        self._target = BenchTarget(self.name, address, broker, Usage(pid), shared=True)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[BenchTarget]:
        yield self._target


class OwnBridge:
    """A bridge in a separate process, with its own topics at the broker."""

    name = "bridge"

    def __init__(
        self,
        broker: MqttSettings,
        store: str | None,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> None:
        """`store` is a URL; without it each start creates a SQLite file under `folder`. `environment` holds further settings;
        `token` is for those that require access.
        """
        self._environment = dict(environment or {})
        self._token = token
        self._broker = broker
        self._store = store
        self._folder = folder

    @asynccontextmanager
    async def started(self) -> AsyncIterator[BenchTarget]:
        """Start a bridge and wait until it is ready."""
        (
            await MqttPublisher.connect(self._broker)
        ).close()  # fail now instead of waiting for a bridge that waits for its broker
        name, port = f"bench-{secrets.token_hex(4)}", free_port()
        folder = self._folder / name
        folder.mkdir(parents=True)
        environment = {
            "BRIDGE_MQTT__URL": self._broker.url.get_secret_value(),
            "BRIDGE_MQTT__CLIENT_ID": name,
            "BRIDGE_MQTT__SESSION_EXPIRY_SECONDS": "60",  # outlives a lost connection, but leaves no session behind
            "BRIDGE_MQTT__PROTOCOL": self._broker.protocol,
            "BRIDGE_MQTT__SUBSCRIPTIONS": orjson.dumps([{"pattern": f"{name}/{{deviceId}}/data"}]).decode(),
            "BRIDGE_STORE__URL": self._store or f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_HTTP__PORT": str(port),
            "BRIDGE_LOG__LEVEL": "warning",
            **self._environment,
        }
        address = Address("127.0.0.1", port, token=self._token)
        async with child_process([sys.executable, "-m", "bridge", "run"], environment, folder) as process:
            await wait_until_ready(f"{address}/health/ready", process, folder)
            yield BenchTarget(self.name, address, self._broker, Usage(process.pid), root=name)


@asynccontextmanager
async def child_process(
    command: list[str], environment: dict[str, str], folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process in `folder`, with its output in log.txt there and without this process's settings; stop it at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    root = str(Path(bridge.__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (root, inherited.get("PYTHONPATH"))))
    with (folder / "log.txt").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *bound_command(command),
            cwd=folder,  # a folder without a settings file
            env=inherited | {"PYTHONPATH": paths} | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the bench only, which stops the child
        )
    try:
        yield process
    finally:
        await stop_process(process, _STOP_SECONDS)


async def wait_until_ready(url: str, process: asyncio.subprocess.Process, folder: Path) -> None:
    """Wait until a GET returns 200. Raises `BridgeError` if the process exits, or after a minute."""
    timeout = aiohttp.ClientTimeout(_REQUEST_SECONDS)
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS), aiohttp.ClientSession(timeout=timeout) as session:
            while process.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with session.get(url) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)
    log = (folder / "log.txt").read_text("utf-8", "replace")[-_LOG_TAIL_CHARACTERS:]
    state = "not ready in time" if process.returncode is None else f"exited with code {process.returncode}"
    raise BridgeError(f"the process for {url}: {state}:\n{log}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
