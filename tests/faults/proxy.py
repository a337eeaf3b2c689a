"""A TCP proxy that misbehaves on demand, and one for the MQTT link that checks every PUBACK against what was stored."""

from __future__ import annotations

import asyncio
import enum
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65536
LATENCY_SECONDS = 0.1


class Fault(enum.Enum):
    """What the proxy does to the link."""

    NONE = "none"
    LATENCY = "latency 100 ms"
    SLICES = "one-byte slices"
    BLACK_HOLE = "black hole"
    RESET = "reset"
    HALF_OPEN = "half-open"
    REFUSE = "refuse"


class Link:
    """One proxied connection. A half-open one stays silent for ever, though the proxy works again for new ones."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.dead = False

    def abort(self) -> None:
        """Cut it; what is on the way is gone."""
        for side in (self.client, self.server):
            side.transport.abort()

    def close(self) -> None:
        """One side has left: the other still gets what was on the way."""
        for side in (self.client, self.server):
            side.close()


class FaultyProxy:
    """Between a client and the server at `target_port`, both on this machine."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connections = 0
        self._fault = Fault.NONE
        self._links: set[Link] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultyProxy]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for link in list(self._links):
                link.abort()

    def set(self, fault: Fault) -> None:
        """From now on; `RESET` and `HALF_OPEN` hit the connections there are, once."""
        self._fault = fault
        for link in list(self._links):
            if fault is Fault.RESET:
                link.abort()
            elif fault is Fault.HALF_OPEN:
                link.dead = True
        if fault in (Fault.RESET, Fault.HALF_OPEN):
            self._fault = Fault.NONE

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault is Fault.REFUSE:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        link = Link(writer, server_writer)
        self._links.add(link)
        up, down = self.observers()
        pumps = (
            asyncio.ensure_future(self._pump(reader, server_writer, link, up)),
            asyncio.ensure_future(self._pump(server_reader, writer, link, down)),
        )
        try:
            with suppress(asyncio.CancelledError):  # the end of the scenario
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            link.close()
            self._links.discard(link)

    def observers(self) -> tuple[Callable[[bytes], Awaitable[None]] | None, Callable[[bytes], Awaitable[None]] | None]:
        """Who looks at what goes up to the server and down to the client, of a new connection."""
        return None, None

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: Link,
        observe: Callable[[bytes], Awaitable[None]] | None,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                while link.dead or self._fault is Fault.BLACK_HOLE:
                    await asyncio.sleep(0.05)
                if observe is not None:
                    await observe(data)
                if self._fault is Fault.LATENCY:
                    await asyncio.sleep(LATENCY_SECONDS)
                if self._fault is Fault.SLICES:
                    for n in range(len(data)):
                        writer.write(data[n : n + 1])
                        await asyncio.sleep(0)
                else:
                    writer.write(data)
                await writer.drain()
            while link.dead:
                await asyncio.sleep(0.05)


@dataclass
class AckRecord:
    """What the PUBACKs on the link to the bridge looked like, over all connections."""

    acknowledged: int = 0
    before_store: int = 0
    out_of_order: int = 0
    wrong_session: int = 0
    unchecked: int = 0
    """The database was away when the PUBACK came by; what it acknowledged is checked at the end."""
    payloads: list[bytes] = field(default_factory=list)
    delivered: set[bytes] = field(default_factory=set)
    """Every payload that the broker put on our link."""


PUBLISH, PUBACK = 3, 4


class PacketReader:
    """Cuts a stream into MQTT packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Type with flags, and body, of every packet now complete."""
        self._buffer += data
        packets = []
        while len(self._buffer) >= 2:
            length, place, shift = 0, 1, 0
            while place < len(self._buffer):
                digit = self._buffer[place]
                length |= (digit & 0x7F) << shift
                place, shift = place + 1, shift + 7
                if not digit & 0x80:
                    break
            else:
                break
            if len(self._buffer) < place + length:
                break
            packets.append((self._buffer[0], bytes(self._buffer[place : place + length])))
            del self._buffer[: place + length]
        return packets


def publish_of(header: int, body: bytes) -> tuple[int, bytes] | None:
    """Packet id and payload of an MQTT 5 PUBLISH with QoS 1; None for QoS 0."""
    if not header & 0x06:
        return None
    place = 2 + int.from_bytes(body[:2], "big")
    packet_id = int.from_bytes(body[place : place + 2], "big")
    length, place, shift = 0, place + 2, 0
    while True:
        digit = body[place]
        length |= (digit & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not digit & 0x80:
            return packet_id, body[place + length :]


class RecordingProxy(FaultyProxy):
    """The link between broker and bridge. `is_stored` tells how many of the given payloads the database does not hold."""

    def __init__(self, target_port: int, missing: Callable[[list[bytes]], Awaitable[int]]) -> None:
        super().__init__(target_port)
        self.record = AckRecord()
        self._missing = missing

    def observers(self) -> tuple[Callable[[bytes], Awaitable[None]], Callable[[bytes], Awaitable[None]]]:
        # A broker that ignores the window can have more than 65,535 messages in flight, and ids twice: the older is meant.
        in_flight: defaultdict[int, deque[bytes]] = defaultdict(deque)
        order: deque[int] = deque()
        from_bridge, from_broker = PacketReader(), PacketReader()

        async def up(data: bytes) -> None:
            payloads = []
            for header, body in from_bridge.feed(data):
                if header >> 4 == PUBACK:
                    packet_id = int.from_bytes(body[:2], "big")
                    if not in_flight[packet_id]:
                        self.record.wrong_session += 1
                        continue
                    if order[0] != packet_id:
                        self.record.out_of_order += 1
                    order.remove(packet_id)
                    payloads.append(in_flight[packet_id].popleft())
            if payloads:
                await self._check(payloads)

        async def down(data: bytes) -> None:
            for header, body in from_broker.feed(data):
                if header >> 4 == PUBLISH and (found := publish_of(header, body)):
                    in_flight[found[0]].append(found[1])
                    self.record.delivered.add(found[1])
                    order.append(found[0])

        return up, down

    async def _check(self, payloads: list[bytes]) -> None:
        self.record.acknowledged += len(payloads)
        try:
            self.record.before_store += await self._missing(payloads)
        except ConnectionError:
            self.record.unchecked += len(payloads)
            self.record.payloads.extend(payloads)
