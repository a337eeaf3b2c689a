"""A publisher on a bare socket: MQTT 3.1.1, QoS 1, with many messages under way."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable
from itertools import islice
from typing import cast

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings

_CONNECT_SECONDS = 10.0
_ACK_SECONDS = 30.0
_WINDOW = 2000  # messages without a PUBACK
_AT_ONCE = 100  # messages in one write
_CLEAN = 0x02
_CONNACK_BYTES = _PUBACK_BYTES = 4
_REFUSALS = {1: "protocol version", 2: "client id", 3: "server unavailable", 4: "user or password", 5: "not authorised"}


def connect_packet(name: bytes, *, clean: bool = False, login: tuple[str | None, str | None] = (None, None)) -> bytes:
    """MQTT 3.1.1 without keep-alive; unless `clean`, the session outlives the connection."""
    flags, fields = _CLEAN if clean else 0, [name]
    for text, flag in zip(login, (0x80, 0x40), strict=True):
        if text is not None:
            flags |= flag
            fields.append(text.encode())
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + b"".join(struct.pack(">H", len(one)) + one for one in fields)
    return b"\x10" + _length(len(body)) + body


def publish_packet(packet_id: int, topic: bytes, payload: bytes) -> bytes:
    """QoS 1."""
    length = 4 + len(topic) + len(payload)
    return b"\x32" + _length(length) + struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + payload


def _length(length: int) -> bytes:
    if length < 128:
        return bytes((length,))
    return bytes((length & 127 | 128,)) + _length(length >> 7)


class MqttPublisher(asyncio.Protocol):
    """One connection. `sent` and `acknowledged` count its messages."""

    def __init__(self, broker: MqttSettings) -> None:
        """Not connected yet."""
        self._broker = broker
        self._transport: asyncio.Transport
        self._answer = b""
        self._received = 0
        self._news: asyncio.Future[None] | None = None
        self._lost = False
        self.sent = 0

    @classmethod
    async def connect(cls, broker: MqttSettings) -> MqttPublisher:
        """Connected under a name of its own. Raises `BridgeError`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, self = await loop.create_connection(lambda: cls(broker), broker.host, broker.port, ssl=broker.tls_context)
                while self._received < _CONNACK_BYTES:
                    await self._something()
        except (OSError, TimeoutError) as error:
            raise BridgeError(f"broker {broker.address}: {str(error) or 'no answer to CONNECT'}") from None
        if code := self._answer[3]:
            raise BridgeError(f"broker {broker.address} refuses us: {_REFUSALS.get(code, code)}")
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(connect_packet(b"bench-publisher-%d" % time.time_ns(), clean=True, login=self._broker.login))

    def data_received(self, data: bytes) -> None:
        """After CONNACK a broker sends a publisher nothing but PUBACKs, each of 4 bytes."""
        if len(self._answer) < _CONNACK_BYTES:
            self._answer += data[:_CONNACK_BYTES]
        self._received += len(data)
        self._tell()

    def connection_lost(self, _: Exception | None) -> None:
        """Whoever waits learns of it."""
        self._lost = True
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _something(self) -> None:
        """Until the broker sends something. Raises `BridgeError` when it has left."""
        if not self._lost:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self._lost:
            raise BridgeError(f"broker {self._broker.address} closed the publisher's connection")

    @property
    def acknowledged(self) -> int:
        """Messages with a PUBACK."""
        return max(self._received - _CONNACK_BYTES, 0) // _PUBACK_BYTES

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Without waiting for anything."""
        self._transport.write(self._packet(topic, payload))

    def _packet(self, topic: bytes, payload: bytes) -> bytes:
        self.sent += 1
        return publish_packet((self.sent - 1) % 65535 + 1, topic, payload)

    async def publish_all(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """As fast as the broker acknowledges. Raises `BridgeError` when it does not."""
        messages = iter(messages)
        while packets := [self._packet(*message) for message in islice(messages, _AT_ONCE)]:
            self._transport.write(b"".join(packets))
            await self.settled(_WINDOW)

    async def settled(self, waiting: int = 0) -> None:
        """Until no more than `waiting` messages lack their PUBACK. Raises `BridgeError`."""
        while self.sent - self.acknowledged > waiting:
            try:
                async with asyncio.timeout(_ACK_SECONDS):
                    await self._something()
            except TimeoutError:
                raise BridgeError(
                    f"broker {self._broker.address} acknowledged {self.acknowledged:,} of {self.sent:,} messages, "
                    f"then nothing for {_ACK_SECONDS:g} s"
                ) from None

    def close(self) -> None:
        """At once."""
        self._transport.abort()
