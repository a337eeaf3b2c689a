"""A client that starts by long-polling, requests a replay there, and upgrades to a WebSocket while readings arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
import orjson

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import CONNECT_SECONDS, PROBED, ReceiveBuffer, Subscriber
from tests.bench.clients.gaps import GapCursorSubscriber

_SEPARATOR = "\x1e"
_ACK, _PING = "430", "2"
_POLLING_SECONDS = 0.2  # between the acknowledgement and the upgrade


class PollingTransport:
    """The long-polling half of a connection. Raises the errors of aiohttp."""

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self._session = session
        self._address = address
        self._url = f"{address}/socket.io/?EIO=4&transport=polling"

    async def open(self) -> str:
        """Open the connection; return its `sid`."""
        (packet,) = await self.receive()
        sid: str = orjson.loads(packet.removeprefix("0"))["sid"]
        self._url += f"&sid={sid}"
        return sid

    async def receive(self) -> list[str]:
        """Wait for packets; return at least one."""
        async with self._session.get(self._url, headers=self._address.headers, ssl=self._address.tls or True) as response:
            response.raise_for_status()
            return (await response.text()).split(_SEPARATOR)

    async def send(self, packet: str) -> None:
        url, headers = self._url, self._address.headers
        async with self._session.post(url, data=packet, headers=headers, ssl=self._address.tls or True) as response:
            response.raise_for_status()


class UpgradingSubscriber(GapCursorSubscriber):
    """Connects in `join_by_polling`, because the WebSocket exists only from the upgrade on."""

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._polling = False
        self._ack: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, receive_buffer: ReceiveBuffer, address: Address, receive_bytes: int | None = None) -> Self:  # noqa: ARG003
        """Return a subscriber that is not connected."""
        return cls(receive_buffer, address)

    async def join_by_polling(
        self, session: aiohttp.ClientSession, devices: Sequence[str] | None, since: int, limit: int
    ) -> dict[str, Any]:
        """Connect, subscribe and upgrade; return the acknowledgement of `subscribe`. Raises `BridgeError`."""
        subscription = {"devices": devices, "since": since, "limit": limit}
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                ack = await self._join_and_upgrade(PollingTransport(session, self._address), subscription)
        except* (OSError, TimeoutError, aiohttp.ClientError) as group:
            self.close()
            reason = repr(group.exceptions[0])
            raise BridgeError(f"a client could not upgrade to a WebSocket at {self._address}: {reason}") from None
        return ack

    async def _join_and_upgrade(self, transport: PollingTransport, subscription: dict[str, Any]) -> dict[str, Any]:
        self.PATH = f"{Subscriber.PATH}&sid={await transport.open()}"
        await transport.send("40")
        await transport.send(f'420["subscribe",{orjson.dumps(subscription).decode()}]')
        async with asyncio.TaskGroup() as tasks:
            self._polling = True
            polling = tasks.create_task(self._poll(transport), name="polls")
            ack = await self._ack
            await asyncio.sleep(_POLLING_SECONDS)
            host, port, tls = self._address.host, self._address.port, self._address.tls
            await asyncio.get_running_loop().create_connection(lambda: self, host, port, ssl=tls)
            await self._upgrade()
            self.send_text(b"2probe")
            await self._wait_for(PROBED)
            self._polling = False
            await polling  # the server ends the pending poll
        self._responses = None
        self.send_text(b"5")
        if not ack.get("ok"):
            raise BridgeError(f"{self._address} refuses `subscribe`: {ack.get('error')}")
        return ack

    async def _poll(self, transport: PollingTransport) -> None:
        while self._polling:
            for packet in await transport.receive():
                if packet.startswith(_ACK):
                    self.before_response = len(self.cursors)
                    self._ack.set_result(orjson.loads(packet.removeprefix(_ACK))[0])
                elif packet == _PING:
                    await transport.send("3")
                else:
                    self.feed_packet(packet.encode())
