"""An MQTT 3.1.1 publisher on a bare socket, QoS 1, with many messages in flight."""

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
_BATCH = 100  # messages in one write
_CLEAN = 0x02
_CONNACK_BYTES = _PUBACK_BYTES = 4
_REFUSALS = {1: "protocol version", 2: "client id", 3: "server unavailable", 4: "user or password", 5: "not authorised"}


def connect_packet(client_id: bytes, *, clean: bool = False, login: tuple[str | None, str | None] = (None, None)) -> bytes:
    """Return a CONNECT without keep-alive; unless `clean`, the session outlives the connection."""
    flags, fields = _CLEAN if clean else 0, [client_id]
    for text, flag in zip(login, (0x80, 0x40), strict=True):
        if text is not None:
            flags |= flag
            fields.append(text.encode())
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + b"".join(struct.pack(">H", len(item)) + item for item in fields)
    return b"\x10" + _length(len(body)) + body


def publish_packet(packet_id: int, topic: bytes, payload: bytes) -> bytes:
    length = 4 + len(topic) + len(payload)
    return b"\x32" + _length(length) + struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + payload


def _length(length: int) -> bytes:
    if length < 128:
        return bytes((length,))
    return bytes((length & 127 | 128,)) + _length(length >> 7)


class MqttPublisher(asyncio.Protocol):
    """A connection. `sent` and `acknowledged` count its messages."""

    def __init__(self, broker: MqttSettings) -> None:
        self._broker = broker
        self._transport: asyncio.Transport
        self._connack = b""
        self._received = 0
        self._changed: asyncio.Future[None] | None = None
        self._disconnected = False
        self.sent = 0

    @classmethod
    async def connect(cls, broker: MqttSettings) -> "MqttPublisher":
        """Connect with a unique client id. Raises `BridgeError`."""
        if broker.websocket_path is not None:
            raise BridgeError(f"--broker {broker.address}: must begin with mqtt:// or mqtts://")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, self = await loop.create_connection(lambda: cls(broker), broker.host, broker.port, ssl=broker.tls_context)
                while self._received < _CONNACK_BYTES:
                    await self._wait_for_data()
        except (OSError, TimeoutError) as error:
            raise BridgeError(f"broker {broker.address}: {str(error) or 'no answer to CONNECT'}") from None
        if code := self._connack[3]:
            raise BridgeError(f"broker {broker.address} refuses the connection: {_REFUSALS.get(code, code)}")
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(connect_packet(b"bench-publisher-%d" % time.time_ns(), clean=True, login=self._broker.login))

    def data_received(self, data: bytes) -> None:
        """Count bytes: after CONNACK a broker sends a publisher only PUBACKs of 4 bytes."""
        if len(self._connack) < _CONNACK_BYTES:
            self._connack += data[:_CONNACK_BYTES]
        self._received += len(data)
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._disconnected = True
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _wait_for_data(self) -> None:
        """Wait for data. Raises `BridgeError` if the broker has closed the connection."""
        if not self._disconnected:
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        if self._disconnected:
            raise BridgeError(f"broker {self._broker.address} closed the publisher's connection")

    @property
    def acknowledged(self) -> int:
        return max(self._received - _CONNACK_BYTES, 0) // _PUBACK_BYTES

    def publish(self, topic: bytes, payload: bytes) -> None:
        self._transport.write(self._packet(topic, payload))

    def _packet(self, topic: bytes, payload: bytes) -> bytes:
        self.sent += 1
        return publish_packet((self.sent - 1) % 65535 + 1, topic, payload)

    async def publish_all(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Publish as fast as the broker acknowledges. Raises `BridgeError` if it stops."""
        messages = iter(messages)
        while packets := [self._packet(*message) for message in islice(messages, _BATCH)]:
            self._transport.write(b"".join(packets))
            await self.settled(_WINDOW)

    async def settled(self, waiting: int = 0) -> None:
        """Wait until at most `waiting` messages are unacknowledged. Raises `BridgeError`."""
        while self.sent - self.acknowledged > waiting:
            try:
                async with asyncio.timeout(_ACK_SECONDS):
                    await self._wait_for_data()
            except TimeoutError:
                raise BridgeError(
                    f"broker {self._broker.address} acknowledged {self.acknowledged:,} of {self.sent:,} messages, "
                    f"then nothing for {_ACK_SECONDS:g} s"
                ) from None

    def close(self) -> None:
        self._transport.abort()
