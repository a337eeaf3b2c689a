"""A publisher and Socket.IO clients on bare sockets: cheap enough that the server under test is the bottleneck."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
from collections.abc import Iterable

MARK = b'["sensorData",'
PING, PONG = b"\x81\x012", b"\x81\x81\0\0\0\x003"  # Engine.IO ping, and pong masked with zeros
JOIN = b"\x81\x82\0\0\0\x0040"


class CountingClient(asyncio.Protocol):
    """A Socket.IO client over WebSocket that counts `sensorData` events and notes when each came."""

    def __init__(self) -> None:
        self.count = 0
        self.arrivals: list[float] | None = None
        self.joined = asyncio.get_running_loop().create_future()
        self._tail = b""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, port: int) -> CountingClient:
        """Connected, upgraded and joined."""
        _, client = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        await asyncio.wait_for(client.joined, 10)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if PING in data:
            self._transport.write(PONG)
        if not self.joined.done():
            if b"40{" in data:
                self.joined.set_result(None)
            elif b"pingInterval" in data:
                self._transport.write(JOIN)
        data = self._tail + data
        found = data.count(MARK)
        self.count += found
        if self.arrivals is not None and found:
            self.arrivals.extend([time.perf_counter()] * found)
        self._tail = data[-(len(MARK) - 1) :]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def connect_packet(name: bytes) -> bytes:
    """MQTT 3.1.1, no keep-alive, a session that outlives the connection."""
    body = b"\x00\x04MQTT\x04\x00\x00\x00" + struct.pack(">H", len(name)) + name
    return bytes([0x10, len(body)]) + body


def publish_packet(packet_id: int, topic: bytes, payload: bytes) -> bytes:
    """QoS 1."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + payload
    length, header = len(body), bytearray([0x32])
    while True:
        length, digit = divmod(length, 128)
        header.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(header) + body


class BarePublisher:
    """MQTT 3.1.1, QoS 1, without waiting for each PUBACK."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._packet_id = 0

    @classmethod
    async def connect(cls, port: int) -> BarePublisher:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect_packet(b"bench-%d" % time.time_ns()))
        assert (await reader.readexactly(4))[3] == 0
        return cls(reader, writer)

    def publish(self, topic: bytes, payload: bytes) -> None:
        self._packet_id = self._packet_id % 65535 + 1
        self._writer.write(publish_packet(self._packet_id, topic, payload))

    async def publish_all(self, topic: bytes, payloads: Iterable[bytes], chunk: int = 500) -> None:
        """As fast as the broker takes it: a chunk, then its PUBACKs."""
        waiting = 0
        for payload in payloads:
            self.publish(topic, payload)
            waiting += 1
            if waiting >= chunk:
                await self._acknowledged(waiting)
                waiting = 0
        await self._acknowledged(waiting)

    async def _acknowledged(self, count: int) -> None:
        await self._writer.drain()
        await self._reader.readexactly(4 * count)

    def close(self) -> None:
        self._writer.transport.abort()
