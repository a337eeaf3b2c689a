"""The packets that wait for a Socket.IO client, until a poll takes them or the client has a WebSocket."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from aiohttp import web
from engineio.packet import Packet

from bridge.realtime.socketio.engineio import CLOSE, OPEN

PACKETS_PER_POLL = 16
"""The most packets that the Python client accepts in the response to a poll."""


class PacketWriter(Protocol):
    def post(self, packet: Packet | None) -> None:
        """Write a packet; None closes the connection."""


@dataclass(frozen=True, slots=True)
class AnsweredPoll:
    """The last poll that was answered, in case its response was lost.

    HTTP clients and browsers repeat a GET by themselves if a connection that they used before ends without a response, as one
    through a proxy may; the packets are in no queue any more then. A poll and its repetition have the same number, which is
    the parameter `t` of both official clients, and come on different connections. A client that sends no number, or the same
    with a poll as with the POST before it, is never answered the same twice.
    """

    number: str
    connection: object
    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def by(cls, number: str, request: web.Request, response: web.Response) -> Self:
        return cls(number, request.transport, bytes(response.body or b""), dict(response.headers))  # type: ignore[arg-type]

    def is_repeated_by(self, number: str | None, request: web.Request) -> bool:
        return number == self.number and request.transport is not self.connection

    def response(self) -> web.Response:
        return web.Response(body=self.body, headers=self.headers)


class PollQueue:
    """A client's packet queue, with the interface that python-engineio expects of an `asyncio.Queue`.

    It counts its bytes and limits the packets per poll. Once redirected to a WebSocket it stays empty.
    """

    __slots__ = (
        "_drained", "_emptied", "_getter", "_packets", "_ping_interval", "_taken", "answered", "is_receiving", "post_number",
        "waiting_bytes", "websocket",
    )  # fmt: skip

    def __init__(self, ping_interval: float = 25) -> None:
        """`ping_interval` is in seconds."""
        self._ping_interval = ping_interval
        self.is_receiving = False
        """Whether a POST of the client is being received."""
        self.answered: AnsweredPoll | None = None
        """The last poll that was answered."""
        self.post_number: str | None = None
        """That of the last POST, if it had one."""
        self._packets: list[Packet | None] = []
        self._getter: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None
        self.websocket: PacketWriter | None = None
        self._taken = 0
        self._drained: tuple[int, Callable[[], None]] | None = None
        self.waiting_bytes = 0

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        """Call `callback` once when at most `waiting_bytes` wait; never if nothing waits now."""
        if self._packets:
            self._drained = waiting_bytes, callback

    def put_nowait(self, packet: Packet | None) -> None:
        """Append a packet, or write it to the WebSocket; None is the end."""
        if self.websocket is not None:
            self.websocket.post(packet)
            return
        self._packets.append(packet)
        self.waiting_bytes += _size(packet)
        self._wake()

    async def put(self, packet: Packet | None) -> None:
        """Append a packet. Never waits: the hub bounds the bytes that wait for a client."""
        if packet is not None and packet.packet_type == OPEN:
            packet.data["pingInterval"] = int(1000 * self._ping_interval)  # python-engineio rounds it to whole seconds
        self.put_nowait(packet)

    async def get(self) -> Packet | None:
        if not self._packets and self.websocket is None:
            self._getter = asyncio.get_running_loop().create_future()
            await self._getter
        if not self._packets:
            return None
        self._taken = 0
        return self.get_nowait()

    def get_nowait(self) -> Packet | None:
        """Return a further packet of this poll. Raises `QueueEmpty` if there is none, or the poll is full.

        A CLOSE is returned alone: Node's client ignores packets that come with it.
        """
        if not self._packets or self._taken >= PACKETS_PER_POLL or (self._taken and _is_close(self._packets[0])):
            raise asyncio.QueueEmpty
        self._taken += 1
        packet = self._packets.pop(0)
        self.waiting_bytes -= _size(packet)
        self._notify_if_drained()
        return packet

    def task_done(self) -> None:
        """Do nothing: `join` waits for the packets to be taken, not handled."""

    async def join(self) -> None:
        while self._packets:
            self._emptied = self._emptied or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._emptied)

    def empty(self) -> bool:
        return not self._packets

    @property
    def is_awaited(self) -> bool:
        return self._getter is not None and not self._getter.done()

    def redirect_to(self, websocket: PacketWriter) -> None:
        """Write waiting and all further packets to a WebSocket; a waiting poll returns nothing."""
        self.websocket, self.answered = websocket, None
        packets, self._packets, self.waiting_bytes = self._packets, [], 0
        for packet in packets:
            websocket.post(packet)
        self._notify_if_drained()
        self._wake()

    def retire(self) -> None:
        self.websocket, self.answered, self._packets, self.waiting_bytes = None, None, [], 0
        self._notify_if_drained()

    def _notify_if_drained(self) -> None:
        if self._emptied is not None and not self._packets:
            self._emptied.set_result(None)
            self._emptied = None
        if self._drained is not None and self.waiting_bytes <= self._drained[0]:
            (_, callback), self._drained = self._drained, None
            asyncio.get_running_loop().call_soon(callback)

    def _wake(self) -> None:
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)


def _is_close(packet: Packet | None) -> bool:
    return packet is not None and packet.packet_type == CLOSE


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str | bytes) else 1
