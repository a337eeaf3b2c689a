"""Messages from an MQTT broker; the only file that knows aiomqtt.

Two things here are not aiomqtt's everyday use, both measured:

- It acknowledges a message when it has queued it, not when it is safe. Manual acknowledgement is paho's, reached through
  `client._client`; it must be set before connecting, because a resumed session delivers at once.
- Its iterator hands over one message at a time: 60-90 µs each. A queue that gives all that waits makes that 23 µs,
  acknowledgement included, and lets the batches grow while the store is busy.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.backoff import delays
from bridge.core.errors import BrokerUnavailable
from bridge.core.health import Health
from bridge.core.message import Message, Outcome
from bridge.intake import Intake
from bridge.settings import MqttSettings, SubscriptionSettings

log = logging.getLogger(__name__)

SOURCE = "mqtt"
"""The name of this source in the ledger and in the health report."""

SENDER_WINDOW = 500
"""How many messages a sender may have under way at once."""

# Small packets go out at once. With Nagle's algorithm a PUBACK can wait 40 ms for the other side's delayed TCP ACK.
_SEND_AT_ONCE = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_RECONNECT_FIRST_SECONDS = 0.2
_REFUSED = 0x80  # SUBACK reason codes from here on are refusals
_SEND_RETAINED_WHEN_NEW = 1  # Retain Handling 1: not again at every reconnect


class BatchQueue(asyncio.Queue[aiomqtt.Message]):
    """A queue whose `get` returns the list of all that waits: aiomqtt's iterator then yields batches."""

    def _get(self) -> aiomqtt.Message:
        batch = list(self._queue)  # type: ignore[attr-defined]  # the deque that asyncio.Queue's own _get pops from
        self._queue.clear()  # type: ignore[attr-defined]
        return cast("aiomqtt.Message", batch)


class MqttConnection:
    """One connection, and the way back for what it delivered.

    Packet ids mean something only on the connection that delivered them: on the next one the same id is another message.
    So an acknowledgement that comes after the end is dropped, and the broker delivers that message again.
    """

    def __init__(self, settings: MqttSettings) -> None:
        """Prepare to connect; raises `BrokerUnavailable` when a TLS file cannot be read."""
        self._settings = settings
        self._client = _session_client(settings)
        self._client._client.manual_ack_set(True)  # noqa: SLF001 - see the head of the file
        self._open = False

    async def __aenter__(self) -> MqttConnection:
        """Connect; raises `BrokerUnavailable`."""
        try:
            await self._client.__aenter__()
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise BrokerUnavailable(str(error)) from error
        self._open = True
        return self

    async def __aexit__(self, *error: object) -> None:
        """Send the acknowledgements that are due, and leave."""
        self._open = False
        try:
            await self._client.__aexit__(None, None, None)
        except aiomqtt.MqttError as failure:
            log.debug("leaving the broker: %s", failure)

    async def subscribe(self) -> None:
        """Ask for every subscription; raises `BrokerUnavailable` when one is refused."""
        for subscription in self._settings.subscriptions:
            topic = subscription.route.pattern.filter
            try:
                granted = await self._client.subscribe(topic, **_subscribe_options(subscription, self._settings.protocol))
            except aiomqtt.MqttError as error:
                raise BrokerUnavailable(f"subscribing to {topic}: {error}") from error
            for code in granted:
                if getattr(code, "value", code) >= _REFUSED:
                    raise BrokerUnavailable(f"the broker refuses the subscription to {topic}: {code}")
            stop_if_cancelled()

    async def batches(self) -> AsyncIterator[list[Message]]:
        """All that has arrived, again and again; raises `BrokerUnavailable` when the connection ends."""
        try:
            async for arrived in self._client.messages:
                received_ms = time.time_ns() // 1_000_000
                yield [self._message(one, received_ms) for one in cast("list[aiomqtt.Message]", arrived)]
        except aiomqtt.MqttError as error:
            raise BrokerUnavailable(str(error.__cause__ or error)) from error

    def _message(self, arrived: aiomqtt.Message, received_ms: int) -> Message:
        return Message(
            SOURCE,
            arrived.topic.value,
            arrived.payload,
            received_ms,
            self,
            qos=arrived.qos,
            packet_id=arrived.mid,
            retained=arrived.retain,
        )

    def settle(self, message: Message, outcome: Outcome) -> None:  # noqa: ARG002 - whatever became of it, it is ours now
        """PUBACK, on this connection or not at all."""
        if self._open and message.qos:
            self._client._client.ack(message.packet_id, message.qos)  # noqa: SLF001


class MqttSource:
    """Keeps a connection to the broker and feeds the intake; a new client for each connection."""

    def __init__(self, settings: MqttSettings, intake: Intake, health: Health) -> None:
        """Nothing is opened before `run`."""
        self._settings = settings
        self._intake = intake
        self._health = health

    async def run(self) -> None:
        """Until cancelled."""
        waits = self._waits()
        while True:
            try:
                async with MqttConnection(self._settings) as connection:
                    await connection.subscribe()
                    waits = self._waits()
                    if self._health.up(SOURCE):
                        log.info("connected to %s as %s", self._settings.address, self._settings.client_id)
                    async for batch in connection.batches():
                        for message in batch:
                            self._intake.put(message)
            except BrokerUnavailable as error:
                reason = f"{self._settings.address}: {error}"
                if self._health.down(SOURCE, reason):
                    log.warning("broker away: %s", reason)
            await asyncio.sleep(next(waits))

    def _waits(self) -> Iterator[float]:
        return delays(_RECONNECT_FIRST_SECONDS, self._settings.reconnect_cap_seconds)


@asynccontextmanager
async def mqtt_sender(settings: MqttSettings, client_id: str | None = None) -> AsyncIterator[MqttSender]:
    """A connection to publish on, without a session; raises `BrokerUnavailable`."""
    client = _client(settings, client_id, max_inflight_messages=SENDER_WINDOW)
    client.pending_calls_threshold = SENDER_WINDOW
    try:
        async with client:
            yield MqttSender(client)
    except (aiomqtt.MqttError, OSError) as error:
        raise BrokerUnavailable(f"{settings.address}: {error}") from error


class MqttSender:
    """Publishes."""

    def __init__(self, client: aiomqtt.Client) -> None:
        """`client` is connected."""
        self._client = client

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker has it (QoS 1)."""
        await self._client.publish(topic, payload, qos, retain)


def stop_if_cancelled() -> None:
    """Python 3.11's `asyncio.wait_for`, which aiomqtt uses, forgets a cancellation that comes together with the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


def _session_client(settings: MqttSettings) -> aiomqtt.Client:
    """A client whose session outlives the connection: what arrives meanwhile waits at the broker."""
    if settings.protocol == "3.1.1":
        return _client(settings, settings.client_id, queue_type=BatchQueue, clean_session=False)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.receive_maximum
    return _client(settings, settings.client_id, queue_type=BatchQueue, clean_start=False, properties=properties)


def _client(settings: MqttSettings, client_id: str | None, **session: Any) -> aiomqtt.Client:  # noqa: ANN401
    username, password = settings.login
    try:
        tls_context = settings.tls_context
    except OSError as error:
        raise BrokerUnavailable(f"TLS files of mqtt.tls: {error}") from error
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=username,
        password=password,
        identifier=client_id,
        protocol=_PROTOCOLS[settings.protocol],
        keepalive=settings.keepalive_seconds,
        timeout=settings.timeout_seconds,
        tls_context=tls_context,
        socket_options=_SEND_AT_ONCE,
        logger=logging.getLogger("bridge.sources.mqtt.client"),
        **session,
    )


def _subscribe_options(subscription: SubscriptionSettings, protocol: str) -> dict[str, Any]:
    """Never QoS 2: there paho sends PUBREC, which takes the message over, before we have seen it."""
    if protocol == "3.1.1":
        return {"qos": subscription.qos}
    return {"options": SubscribeOptions(subscription.qos, retainHandling=_SEND_RETAINED_WHEN_NEW)}
