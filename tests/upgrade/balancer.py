"""A load balancer as operators have it: clients reach one address, and are connected to a bridge that is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiohttp

_CHECK_SECONDS = 0.1
_CHUNK_BYTES = 65536


class Balancer:
    """TCP, without timeouts of its own. `port` is its address, `ready` has the ports of bridges that are ready, and `chosen`
    the port of each connection that was passed on.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self.ready: list[int] = []
        self.port = 0
        self.chosen: list[int] = []
        self._passing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Balancer]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        checking = asyncio.create_task(self._check(), name="health checks")
        try:
            yield self
        finally:
            server.close()
            for task in (checking, *self._passing):
                task.cancel()
            await asyncio.gather(checking, *self._passing, return_exceptions=True)

    async def _check(self) -> None:
        timeout = aiohttp.ClientTimeout(10)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)) as session:
            while True:
                self.ready = [port for port in self._ports if await _is_ready(session, port)]
                await asyncio.sleep(_CHECK_SECONDS)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer), name="connection")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, IndexError):  # refused while no bridge is ready
                port = self.ready[0]
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
                self.chosen.append(port)
                try:
                    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
                finally:
                    inner_writer.close()
        finally:
            writer.close()


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
            return answer.status == 200
    return False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
