"""A bridge in a process of its own, with faults injected by `tests.faults.armed`, that is killed and started again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import socketio

from tests.servers import free_port, until


class KilledBridge:
    """`told` counts what a client was sent that connects whenever it can: by the name that `names` gives an event's body."""

    def __init__(
        self,
        folder: Path,
        store_url: str,
        broker_url: str,
        environment: Mapping[str, str],
        names: Mapping[str, Callable[[Any], str]],
    ) -> None:
        self.port = free_port()
        self.log = folder / "bridge.log"
        self.told: Counter[str] = Counter()
        self._names = names
        self._environment = os.environ | {
            "BRIDGE_MQTT__URL": broker_url,
            "BRIDGE_MQTT__CLIENT_ID": "under-test",
            "BRIDGE_STORE__URL": store_url,
            "BRIDGE_HTTP__PORT": str(self.port),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, trap: str = "") -> None:
        """Start it; with a trap it kills itself at that point."""
        command, environment = [sys.executable, "-m", "tests.faults.armed", "run"], self._environment | {"BRIDGE_TRAP": trap}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stderr=log)

    @property
    def is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def dead(self) -> None:
        """Wait until it has killed itself."""
        await until(lambda: self.is_dead, 120, "the trap")
        self.kill()

    async def ask(self, path: str, body: object = None) -> Any:
        """The answer to a request; None if it is not successful."""
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            timeout, method = aiohttp.ClientTimeout(total=2), "GET" if body is None else "POST"
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, f"http://127.0.0.1:{self.port}{path}", json=body) as answer,
            ):
                return orjson.loads(await answer.read()) if answer.status in (200, 201) else None
        return None

    async def ready(self) -> None:
        """Wait until it is ready, or has killed itself."""

        async def is_ready() -> bool:
            return self.is_dead or await self.ask("/health/ready") is not None

        await until(is_ready, 120, "the bridge is ready")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._listen(), name="listener")
        try:
            yield
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=1)

    async def _listen(self) -> None:
        while True:
            async with aiohttp.ClientSession() as session:
                client = socketio.AsyncClient(http_session=session, reconnection=False)
                for event, name in self._names.items():
                    client.on(event, lambda body, name=name: self.told.update([name(body)]))
                gone = asyncio.Event()
                client.on("disconnect", lambda *_, gone=gone: gone.set())
                with suppress(socketio.exceptions.ConnectionError, aiohttp.ClientError, OSError, TimeoutError):
                    await client.connect(f"http://127.0.0.1:{self.port}", transports=["websocket"], wait_timeout=2)
                    await gone.wait()
                with suppress(Exception):
                    await client.disconnect()
            await asyncio.sleep(0.1)
