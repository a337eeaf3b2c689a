"""Polls whose response is lost on the way: HTTP clients repeat them by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import aiohttp
import orjson
import pytest

from bridge.app import Bridge
from bridge.settings import RealtimeSettings
from tests.conftest import StartBridge
from tests.realtime.clients import publish_many

_CHUNK_BYTES = 65_536


class LossyProxy:
    """Passes connections on. After `lose_next` it takes the next response from the server and ends the client's connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lose = False
        self.lost = b""

    def lose_next(self) -> None:
        self._lose = True

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        requests = asyncio.create_task(self._pass_requests(reader, server_writer))
        with suppress(OSError):
            while data := await server_reader.read(_CHUNK_BYTES):
                if self._lose:
                    self._lose, self.lost = False, data
                    break
                writer.write(data)
                await writer.drain()
        requests.cancel()
        server_writer.close()
        writer.close()

    async def _pass_requests(self, reader: asyncio.StreamReader, server_writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                server_writer.write(data)
                await server_writer.drain()
        server_writer.close()


class PollingClient:
    """Like the official clients, it numbers its polls, unless it always sends the same `number`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, number: str | None = None) -> None:
        self._session, self._url = session, url
        self._numbers = count()
        self._number = number

    async def connect(self) -> None:
        self._url += f"&sid={orjson.loads((await self._get())[1:])['sid']}"
        async with self._session.post(f"{self._url}&t={self._next_number()}", data="40") as response:
            assert response.status == 200
        assert (await self._get()).startswith("40")

    def _next_number(self) -> str:
        return self._number or f"x{next(self._numbers)}"

    async def _get(self) -> str:
        async with asyncio.timeout(20), self._session.get(f"{self._url}&t={self._next_number()}") as response:
            assert response.status == 200
            return await response.text()

    async def temperatures(self, last: float) -> list[float]:
        """Poll until a record with this temperature."""
        found: list[float] = []
        while last not in found:
            packets = [packet for packet in (await self._get()).split("\x1e") if packet.startswith('42["sensorData"')]
            found += [orjson.loads(packet[2:])[1]["data"]["temperature"] for packet in packets]
        return found


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Bridge]:
    async with start_bridge(
        broker_url, f"sqlite:///{tmp_path}/bridge.db", realtime=RealtimeSettings(settle_seconds=0)
    ) as running:
        yield running


async def test_poll_whose_response_was_lost_is_answered_again(bridge: Bridge, broker_url: str) -> None:
    proxy = LossyProxy(bridge.port)
    async with proxy.serving() as port, aiohttp.ClientSession() as session:
        client = PollingClient(session, f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling")
        await client.connect()
        await publish_many(broker_url, 1)
        assert await client.temperatures(0.0) == [0.0]
        proxy.lose_next()
        received = asyncio.create_task(client.temperatures(0.2))
        await publish_many(broker_url, 1, first=1)
        await publish_many(broker_url, 1, first=2)
        assert await received == [0.1, 0.2]
        assert b'"temperature":0.1' in proxy.lost


@pytest.mark.parametrize("force_close", [False, True])
async def test_client_that_does_not_number_its_polls_receives_each_record_once(
    bridge: Bridge, broker_url: str, force_close: bool
) -> None:
    """Also one with a connection for each request."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=force_close)) as session:
        client = PollingClient(session, f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling", number="same")
        await client.connect()
        for n in range(3):
            await publish_many(broker_url, 1, first=n)
            assert await client.temperatures(n / 10) == [n / 10]
