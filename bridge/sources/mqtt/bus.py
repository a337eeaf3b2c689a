"""The bus between bridges, over a connection to the MQTT broker: one topic, QoS 0, no session."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.core.errors import BrokerUnavailable
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import connected_client, paho_client, raise_if_cancelled, refusal_of
from bridge.sources.mqtt.publish_parser import Publish
from bridge.sources.mqtt.read_ahead_socket import read_ahead, unsupported_name

_MQTT_5 = 5
_NEVER_SEND_RETAINED = 2  # Retain Handling
_DISCONNECT_SECONDS = 0.5
_PACKET_OVERHEAD_BYTES = 1024  # fixed header, topic and properties


class MqttBusConnection:
    """One connection. Received messages go past aiomqtt's queue, straight from the read of the socket to `on_message`."""

    def __init__(
        self, settings: MqttSettings, topic: str, message_limit_bytes: int, on_message: Callable[[bytes], None], *, fast: bool
    ) -> None:
        """`message_limit_bytes` is our limit; that of the broker counts too once it is known."""
        self._settings = settings
        self._topic = topic
        self._on_message = on_message
        self._fast = fast
        self.message_limit_bytes = message_limit_bytes
        self._waiting: deque[tuple[MQTTMessageInfo, int]] = deque()
        self._waiting_bytes = 0
        self._client: aiomqtt.Client
        self._paho: PahoClient

    @property
    def waiting_bytes(self) -> int:
        while self._waiting and self._waiting[0][0].is_published():
            self._waiting_bytes -= self._waiting.popleft()[1]
        return self._waiting_bytes

    def prepare(self, client: aiomqtt.Client) -> None:
        """Set up a client that is not connected yet."""
        self._client, self._paho = client, paho_client(client)
        self._paho.on_publish = None  # of each message; nobody waits for one
        self._paho.on_message = self._on_paho_message
        self._read_connack(self._paho)
        if self._fast and unsupported_name(self._paho) is None:
            read_ahead(self._paho, self._on_published, properties=self._speaks_5)

    @property
    def _speaks_5(self) -> bool:
        return int(self._paho.protocol) == _MQTT_5

    def _read_connack(self, paho: PahoClient) -> None:
        """Heed the broker's Maximum Packet Size: it closes the connection at a larger packet."""
        connected = cast("Callable[..., None]", paho.on_connect)

        def on_connect(*arguments: Any) -> None:  # noqa: ANN401 - as paho calls it
            packet_bytes = getattr(arguments[-1], "MaximumPacketSize", None)
            if packet_bytes is not None:
                self.message_limit_bytes = min(self.message_limit_bytes, max(packet_bytes - _PACKET_OVERHEAD_BYTES, 0))
            connected(*arguments)

        paho.on_connect = on_connect

    async def subscribe(self) -> None:
        """Subscribe without our own messages, where the protocol can. Raises `BrokerUnavailable`."""
        options: dict[str, Any] = {"qos": 0}
        if self._speaks_5:
            options = {"options": SubscribeOptions(0, noLocal=True, retainHandling=_NEVER_SEND_RETAINED)}
        if refusal := refusal_of(await self._client.subscribe(self._topic, **options)):
            remedy = f"permit this user to read and write {self._topic}"
            raise BrokerUnavailable(
                f"{self._settings.address}: the subscription to {self._topic} is refused ({refusal})", remedy
            )
        raise_if_cancelled()

    def send(self, data: bytes) -> None:
        sending = self._paho.publish(self._topic, data, 0)
        if sending.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._waiting.append((sending, len(data)))
            self._waiting_bytes += len(data)

    async def receive(self) -> None:
        async for _ in self._client.messages:  # none: this waits for the end of the connection
            pass

    def end(self) -> None:
        """Do not wait long for what is not sent yet: the broker may have stopped."""
        self._client.timeout = _DISCONNECT_SECONDS

    def _on_published(self, published: Iterable[Publish]) -> None:
        for one in published:
            if not one.retained:
                self._on_message(one.payload)

    def _on_paho_message(self, _client: PahoClient, _userdata: object, message: MQTTMessage) -> None:
        """Deliver what paho parsed itself: everything without the fast path, else messages of QoS 2."""
        if not message.retain:
            self._on_message(bytes(message.payload))


@asynccontextmanager
async def mqtt_bus_connection(
    settings: MqttSettings, topic: str, message_limit_bytes: int, on_message: Callable[[bytes], None], *, fast: bool = True
) -> AsyncIterator[MqttBusConnection]:
    """Connect and subscribe. Raises `BrokerUnavailable`, also when the connection ends.

    With MQTT 5 the broker is told not to send packets above the limit. `fast`: use paho's fast path if it works.
    """
    connection = MqttBusConnection(settings, topic, message_limit_bytes, on_message, fast=fast)
    properties = None
    if settings.protocol == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = message_limit_bytes + _PACKET_OVERHEAD_BYTES
    async with connected_client(settings, None, prepare=connection.prepare, properties=properties):
        try:
            await connection.subscribe()
            yield connection
        except asyncio.CancelledError:
            connection.end()
            raise
