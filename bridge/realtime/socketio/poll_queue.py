"""What is to be sent to a Socket.IO client, until a poll takes it or a WebSocket is there."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from bridge.realtime.socketio.engineio import CLOSE, OPEN

PACKETS_PER_POLL = 16
"""The most that the Python client takes in one answer to a poll."""


class Packet(Protocol):
    """python-engineio's."""

    packet_type: int
    data: Any


class PacketWriter(Protocol):
    """A client's WebSocket."""

    def post(self, packet: Packet | None) -> None:
        """Write a packet; None is the end."""
        ...


class PollQueue:
    """What is to be sent to a client, in the shape of the queue that python-engineio has there.

    It knows how many bytes wait in it, and gives them out by the handful; once it is poured into a WebSocket it stays empty.
    """

    __slots__ = ("_emptied", "_getter", "_packets", "_ping_interval", "_taken", "is_posted_to", "waiting_bytes", "websocket")

    def __init__(self, ping_interval: float = 25) -> None:
        """`ping_interval` is in seconds."""
        self._ping_interval = ping_interval
        self.is_posted_to = False
        self._packets: list[Packet | None] = []
        self._getter: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None
        self.websocket: PacketWriter | None = None
        self._taken = 0
        self.waiting_bytes = 0

    def put_nowait(self, packet: Packet | None) -> None:
        """Send it in its turn; None is the end."""
        if self.websocket is not None:
            self.websocket.post(packet)
            return
        self._packets.append(packet)
        self.waiting_bytes += _size(packet)
        self._wake()

    async def put(self, packet: Packet | None) -> None:
        """The same; there is always room, and who fills it too much is skipped."""
        if packet is not None and packet.packet_type == OPEN:
            packet.data["pingInterval"] = int(1000 * self._ping_interval)  # python-engineio says it in whole seconds
        self.put_nowait(packet)

    async def get(self) -> Packet | None:
        """The next packet; a new handful begins with it."""
        if not self._packets and self.websocket is None:
            self._getter = asyncio.get_running_loop().create_future()
            await self._getter
        if not self._packets:
            return None
        self._taken = 0
        return self.get_nowait()

    def get_nowait(self) -> Packet | None:
        """A further packet of this handful; none when it is full. Node's client passes over what came with a CLOSE."""
        if not self._packets or self._taken >= PACKETS_PER_POLL or (self._taken and _is_close(self._packets[0])):
            raise asyncio.QueueEmpty
        self._taken += 1
        packet = self._packets.pop(0)
        self.waiting_bytes -= _size(packet)
        self._tell_if_empty()
        return packet

    def task_done(self) -> None:
        """Nobody waits for that here."""

    async def join(self) -> None:
        """Returns when polls have taken all of it."""
        while self._packets:
            self._emptied = self._emptied or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._emptied)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._packets

    @property
    def is_waited_for(self) -> bool:
        """Whether a poll waits for what will be put here."""
        return self._getter is not None and not self._getter.done()

    def pour_into(self, websocket: PacketWriter) -> None:
        """What waits, and from now on everything, goes there; a poll that waits is answered with nothing."""
        self.websocket = websocket
        packets, self._packets, self.waiting_bytes = self._packets, [], 0
        for packet in packets:
            websocket.post(packet)
        self._tell_if_empty()
        self._wake()

    def retire(self) -> None:
        """The client has left, and will not ask for it."""
        self.websocket, self._packets, self.waiting_bytes = None, [], 0
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if self._emptied is not None and not self._packets:
            self._emptied.set_result(None)
            self._emptied = None

    def _wake(self) -> None:
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)


def _is_close(packet: Packet | None) -> bool:
    return packet is not None and packet.packet_type == CLOSE


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str | bytes) else 1
