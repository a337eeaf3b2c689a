"""A client that begins by long-polling, asks for what it missed there, and changes over to a WebSocket while readings come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
import orjson

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.listeners import AttentiveSubscriber
from bridge.tools.bench.clients.subscriber import CONNECT_SECONDS, PROBED, ReceiveBuffer, Subscriber

_SEPARATOR = "\x1e"
_ANSWER, _PING = "430", "2"
_POLLING_SECONDS = 0.2  # after the answer, before it changes over


class Polls:
    """The long-polling half of a connection. Its errors are those of aiohttp."""

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        """Not opened yet."""
        self._session = session
        self._address = address
        self._url = f"{address}/socket.io/?EIO=4&transport=polling"

    async def open(self) -> str:
        """The connection's `sid`."""
        (packet,) = await self.get()
        sid: str = orjson.loads(packet.removeprefix("0"))["sid"]
        self._url += f"&sid={sid}"
        return sid

    async def get(self) -> list[str]:
        """The packets that the server has, at least one."""
        async with self._session.get(self._url, headers=self._address.headers, ssl=self._address.tls or True) as answer:
            answer.raise_for_status()
            return (await answer.text()).split(_SEPARATOR)

    async def say(self, packet: str) -> None:
        """One packet."""
        url, headers = self._url, self._address.headers
        async with self._session.post(url, data=packet, headers=headers, ssl=self._address.tls or True) as answer:
            answer.raise_for_status()


class UpgradingSubscriber(AttentiveSubscriber):
    """`arrive` connects it, and all that follows."""

    def __init__(self, arena: ReceiveBuffer, address: Address) -> None:
        """Not connected yet."""
        super().__init__(arena, address)
        self._polling = False
        self._answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, arena: ReceiveBuffer, address: Address, receive_bytes: int | None = None) -> Self:  # noqa: ARG003
        """Not yet: the connection that becomes the WebSocket is made when it changes over."""
        return cls(arena, address)

    async def arrive(
        self, session: aiohttp.ClientSession, devices: Sequence[str] | None, since: int, limit: int
    ) -> dict[str, Any]:
        """Join, subscribe and change over; the acknowledgement of `subscribe`. Raises `BridgeError`."""
        asked = {"devices": devices, "since": since, "limit": limit}
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                answer = await self._arrive(Polls(session, self._address), asked)
        except* (OSError, TimeoutError, aiohttp.ClientError) as group:
            self.close()
            reason = repr(group.exceptions[0])
            raise BridgeError(f"a client could not change over to a WebSocket at {self._address}: {reason}") from None
        return answer

    async def _arrive(self, polls: Polls, asked: dict[str, Any]) -> dict[str, Any]:
        self.PATH = f"{Subscriber.PATH}&sid={await polls.open()}"
        await polls.say("40")
        await polls.say(f'420["subscribe",{orjson.dumps(asked).decode()}]')
        async with asyncio.TaskGroup() as tasks:
            self._polling = True
            polling = tasks.create_task(self._poll(polls), name="polls")
            answer = await self._answer
            await asyncio.sleep(_POLLING_SECONDS)
            host, port, tls = self._address.host, self._address.port, self._address.tls
            await asyncio.get_running_loop().create_connection(lambda: self, host, port, ssl=tls)
            await self._upgrade()
            self.say(b"2probe")
            await self._heard(PROBED)
            self._polling = False
            await polling  # the server ends the poll that waits
        self._talk = None
        self.say(b"5")
        if not answer.get("ok"):
            raise BridgeError(f"{self._address} refuses `subscribe`: {answer.get('error')}")
        return answer

    async def _poll(self, polls: Polls) -> None:
        """Take in what comes, until it changes over."""
        while self._polling:
            for packet in await polls.get():
                if packet.startswith(_ANSWER):
                    self.at_answer = len(self.cursors)
                    self._answer.set_result(orjson.loads(packet.removeprefix(_ANSWER))[0])
                elif packet == _PING:
                    await polls.say("3")
                else:
                    self.take(packet.encode())
