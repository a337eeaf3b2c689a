"""A TCP proxy with injected faults, and one for the MQTT link that checks every PUBACK against the store."""

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
    """A fault of a connection."""

    NONE = "none"
    LATENCY = "latency 100 ms"
    SLICES = "one-byte slices"
    BLACK_HOLE = "black hole"
    RESET = "reset"
    HALF_OPEN = "half-open"
    REFUSE = "refuse"


class ProxiedConnection:
    """A connection through the proxy. A half-open one stays silent, while the proxy works for new ones."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.dead = False

    def abort(self) -> None:
        """Abort both sides; data in transit is lost."""
        for side in (self.client, self.server):
            side.transport.abort()

    def close(self) -> None:
        """Close both sides; data in transit is delivered."""
        for side in (self.client, self.server):
            side.close()


class FaultyProxy:
    """Between a client and the server at `target_port`, both on this machine."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connections = 0
        self._fault = Fault.NONE
        self._connections: set[ProxiedConnection] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultyProxy]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for connection in list(self._connections):
                connection.abort()

    def set(self, fault: Fault) -> None:
        """Set the fault of the link; `RESET` and `HALF_OPEN` affect the existing connections once."""
        self._fault = fault
        for connection in list(self._connections):
            if fault is Fault.RESET:
                connection.abort()
            elif fault is Fault.HALF_OPEN:
                connection.dead = True
        if fault in (Fault.RESET, Fault.HALF_OPEN):
            self._fault = Fault.NONE

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault is Fault.REFUSE:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        connection = ProxiedConnection(writer, server_writer)
        self._connections.add(connection)
        up, down = self.observers()
        pumps = (
            asyncio.ensure_future(self._pump(reader, server_writer, connection, up)),
            asyncio.ensure_future(self._pump(server_reader, writer, connection, down)),
        )
        try:
            with suppress(asyncio.CancelledError):  # the end of the scenario
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            connection.close()
            self._connections.discard(connection)

    def observers(self) -> tuple[Callable[[bytes], Awaitable[None]] | None, Callable[[bytes], Awaitable[None]] | None]:
        """Return callbacks for the data of a new connection to the server and to the client."""
        return None, None

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: ProxiedConnection,
        observe: Callable[[bytes], Awaitable[None]] | None,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                while connection.dead or self._fault is Fault.BLACK_HOLE:
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
            while connection.dead:
                await asyncio.sleep(0.05)


@dataclass
class AckRecord:
    """PUBACKs from the bridge, over all connections."""

    acknowledged: int = 0
    before_store: int = 0
    out_of_order: int = 0
    wrong_session: int = 0
    unchecked: int = 0
    """PUBACKs seen while the database was unavailable; their `payloads` are checked at the end."""
    payloads: list[bytes] = field(default_factory=list, repr=False)
    delivered: set[bytes] = field(default_factory=set, repr=False)
    """Payloads that the broker sent to the bridge."""


PUBLISH, PUBACK = 3, 4


class PacketReader:
    """Splits a stream into MQTT packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return type with flags, and body, of each complete packet."""
        self._buffer += data
        packets = []
        while len(self._buffer) >= 2:
            length, at, shift = 0, 1, 0
            while at < len(self._buffer):
                digit = self._buffer[at]
                length |= (digit & 0x7F) << shift
                at, shift = at + 1, shift + 7
                if not digit & 0x80:
                    break
            else:
                break
            if len(self._buffer) < at + length:
                break
            packets.append((self._buffer[0], bytes(self._buffer[at : at + length])))
            del self._buffer[: at + length]
        return packets


def publish_of(header: int, body: bytes) -> tuple[int, bytes] | None:
    """Return packet id and payload of an MQTT 5 PUBLISH with QoS 1; None for QoS 0."""
    if not header & 0x06:
        return None
    at = 2 + int.from_bytes(body[:2], "big")
    packet_id = int.from_bytes(body[at : at + 2], "big")
    length, at, shift = 0, at + 2, 0
    while True:
        digit = body[at]
        length |= (digit & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not digit & 0x80:
            return packet_id, body[at + length :]


class RecordingProxy(FaultyProxy):
    """The link between broker and bridge. `missing` returns how many of the given payloads the database does not hold."""

    def __init__(self, target_port: int, missing: Callable[[list[bytes]], Awaitable[int]]) -> None:
        super().__init__(target_port)
        self.record = AckRecord()
        self._missing = missing

    def observers(self) -> tuple[Callable[[bytes], Awaitable[None]], Callable[[bytes], Awaitable[None]]]:
        # A broker that ignores the receive window may have over 65,535 messages in flight and reuse ids; the oldest matches.
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
