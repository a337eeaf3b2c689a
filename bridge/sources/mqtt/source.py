"""Messages from an MQTT broker; with `mqtt_client.py` the only file that knows aiomqtt.

Two things here are not aiomqtt's everyday use, both measured:

- It acknowledges a message when it has queued it, not when it is safe. Manual acknowledgement is paho's, reached through
  `client._client`; it must be set before connecting, because a resumed session delivers at once.
- It receives, hands over and acknowledges one message at a time: 130 µs of CPU with MQTT 5, 90 µs with 3.1.1. We take the
  messages out of what paho reads, hand them on at once, all of a read together, and join the PUBACKs of a batch: 6-8 µs
  (over TLS 12) when there is a burst to work off. Where paho has not the private names this needs, it parses and
  acknowledges by itself, and messages come through aiomqtt's queue.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import aiomqtt
import orjson
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import MessageType
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.core.errors import BrokerUnavailable, ReceiveWindowExceeded, SessionTakenOver
from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.window import AckWindow
from bridge.pipeline.backoff import delays
from bridge.pipeline.intake import Intake
from bridge.ports import KeyValueStore, Publisher
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import SEND_AT_ONCE, connected, made_client, stop_if_cancelled
from bridge.sources.mqtt.publish_parser import Publish, PublishParser, pubacks
from bridge.sources.mqtt.read_ahead_socket import ReadAheadSocket
from bridge.sources.mqtt.session import SessionState, TakeoverDetector

log = logging.getLogger(__name__)

SOURCE = "mqtt"
"""The name of this source in the ledger and in the health report."""

_RECONNECT_FIRST_SECONDS = 0.2
_TAKEN_SECONDS = 10.0  # two bridges that share a client id take the session from each other no faster than this
_OVERFLOW_FACTOR = 20  # times Receive Maximum: 20,000 messages, some 15 MB
_LEAVE_SECONDS = 1.0
_SESSION_TAKEN_OVER = 0x8E  # the reason code of MQTT 5; 3.1.1 closes without one
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
_REFUSED = 0x80  # SUBACK reason codes from here on are refusals
_SEND_RETAINED_WHEN_NEW = 1  # Retain Handling 1: not again at every reconnect


class BatchQueue(asyncio.Queue[aiomqtt.Message]):
    """A queue whose `get` returns the list of all that waits: aiomqtt's iterator then yields batches."""

    def _get(self) -> aiomqtt.Message:
        batch = list(self._queue)  # type: ignore[attr-defined]  # the deque that asyncio.Queue's own _get pops from
        self._queue.clear()  # type: ignore[attr-defined]
        return cast("aiomqtt.Message", batch)


def _published(batch: aiomqtt.Message) -> Iterator[Publish]:
    """What a `BatchQueue` hands over, whatever aiomqtt's types say."""
    for one in cast("list[aiomqtt.Message]", batch):
        yield Publish(one.topic.value, one.payload, one.mid, one.qos, one.retain)


def can_read_ahead(paho: type) -> bool:
    """Whether paho's client has the private methods that `MqttConnection` reaches for."""
    return all(hasattr(paho, name) for name in ("_create_socket", "_packet_queue"))


class MqttConnection:
    """One connection, and the way back for what it delivered.

    Packet ids mean something only on the connection that delivered them: on the next one the same id is another message.
    So an acknowledgement that comes after the end is dropped, and the broker delivers that message again.
    """

    def __init__(self, settings: MqttSettings, deliver: Callable[[list[Message]], None], *, tapped: bool) -> None:
        """Prepare to connect; raises `BrokerUnavailable` when a TLS file cannot be read.

        `deliver` is called with what has arrived, from entering on; it must not raise. `tapped` asks for `can_read_ahead`.
        """
        self._settings = settings
        self._deliver = deliver
        self._queue = BatchQueue()
        self._client = _session_client(settings, self._queue)
        self._paho = self._client._client  # noqa: SLF001 - see the head of the file
        self._paho.manual_ack_set(True)
        self._tapped = tapped
        if tapped:
            self._tap()
        self._loop = asyncio.get_running_loop()
        self._window = AckWindow()
        self._due: list[int] = []  # packet ids to acknowledge as soon as the batch is settled
        self._ended = False
        self._overflowed = False

    def _tap(self) -> None:
        """Give paho a socket that keeps the messages for us."""
        connect = self._paho._create_socket  # noqa: SLF001

        def connect_tapped() -> ReadAheadSocket:
            inner = cast("socket.socket", connect())
            for option in SEND_AT_ONCE:  # aiomqtt sets its options on real sockets only
                inner.setsockopt(*option)
            return ReadAheadSocket(inner, PublishParser(properties=self._settings.protocol == "5"), self._arrived)

        self._paho._create_socket = connect_tapped  # type: ignore[method-assign]  # noqa: SLF001

    def _arrived(self, published: list[Publish]) -> None:
        """After every read, on the event loop's thread.

        paho must know of it: while bytes come it is patient with a broker whose answer to a ping is late, behind them.
        """
        self._paho._last_bytes_received = time.monotonic()  # noqa: SLF001
        if published:
            self._deliver(self._messages(published))

    async def __aenter__(self) -> MqttConnection:
        """Connect; raises `BrokerUnavailable`."""
        try:
            await connected(self._client, self._settings)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            self._ended = True
            raise BrokerUnavailable(str(error)) from error
        return self

    async def __aexit__(self, *error: object) -> None:
        """Send the acknowledgements that are due, and leave. A broker that does not answer is left without a word."""
        self._acknowledge()
        self._ended = True
        try:
            await asyncio.wait_for(self._client.__aexit__(None, None, None), _LEAVE_SECONDS)
        except (aiomqtt.MqttError, TimeoutError) as failure:
            log.debug("leaving the broker: %s", failure)

    async def subscribe(self) -> None:
        """Ask for every subscription; raises `BrokerUnavailable` when one is refused."""
        for subscription in self._settings.subscriptions:
            await self._subscribe(subscription.route.pattern.topic_filter, subscription.qos)

    async def watch_drops(self) -> None:
        """Ask for the broker's own count of messages it dropped; not every broker has or shows it."""
        try:
            await self._subscribe(DROPPED_TOPIC, 0)
        except BrokerUnavailable as error:
            log.info("the broker does not tell what it drops: %s", error)

    async def _subscribe(self, topic: str, qos: int) -> None:
        try:
            granted = await self._client.subscribe(topic, **_subscribe_options(qos, self._settings.protocol))
        except aiomqtt.MqttError as error:
            raise BrokerUnavailable(f"subscribing to {topic}: {error}") from error
        for code in granted:
            if getattr(code, "value", code) >= _REFUSED:
                raise BrokerUnavailable(f"the broker refuses the subscription to {topic}: {code}")
        stop_if_cancelled()

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give up subscriptions that an earlier session of ours still has."""
        try:
            for topic in topics:
                await self._client.unsubscribe(topic)
        except aiomqtt.MqttError as error:
            raise BrokerUnavailable(f"unsubscribing from {topic}: {error}") from error
        stop_if_cancelled()

    async def publish(self, topic: str, payload: bytes, seconds: float) -> None:
        """Return when the broker has it (QoS 1); it forgets it after `seconds` where the protocol can say so."""
        properties = None
        if self._settings.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(math.ceil(seconds), 1)
        try:
            await self._client.publish(topic, payload, 1, properties=properties)
        except (aiomqtt.MqttError, ValueError) as error:
            raise BrokerUnavailable(f"publishing to {topic}: {error}") from error
        stop_if_cancelled()

    async def run(self) -> None:
        """Until the connection ends, which raises `BrokerUnavailable`. What paho parsed by itself is delivered here."""
        try:
            async for arrived in self._client.messages:
                self._deliver(self._messages(_published(arrived)))
        except aiomqtt.MqttError as error:
            # What has reached us is stored, though it cannot be acknowledged: a broker that was killed may know it no more.
            if not self._queue.empty():
                self._deliver(self._messages(_published(self._queue.get_nowait())))
            if self._overflowed and not self._window:
                raise ReceiveWindowExceeded("the broker sent more than Receive Maximum") from error
            cause = error.__cause__
            if isinstance(cause, aiomqtt.MqttCodeError) and getattr(cause.rc, "value", None) == _SESSION_TAKEN_OVER:
                raise SessionTakenOver(str(cause)) from error
            raise BrokerUnavailable(str(cause or error)) from error

    def _messages(self, published: Iterable[Publish]) -> list[Message]:
        received_ms = time.time_ns() // 1_000_000
        return [
            Message(SOURCE, topic, payload, received_ms, self, qos, packet_id, retained)
            for topic, payload, packet_id, qos, retained in published
            if self._take(qos, packet_id)
        ]

    def _take(self, qos: int, packet_id: int) -> bool:
        """Whether there is room; what is not taken is not acknowledged, and comes again on the next connection.

        Mosquitto 2.0.11 sends two more messages for each PUBACK, so that with a long queue all of it is in flight soon,
        whatever Receive Maximum says. From the first message not taken on none is, or acknowledgements would be out of order.
        """
        if not qos:
            return True
        if not self._overflowed and len(self._window) >= self._settings.receive_maximum * _OVERFLOW_FACTOR:
            self._overflowed = True
            log.info("the broker sends more than Receive Maximum; the rest is taken on another connection")
        if self._overflowed:
            return False
        self._window.add(packet_id)
        return True

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:  # noqa: ARG002
        """PUBACK, whatever became of it: in the order of arrival, on this connection or not at all, a batch's together."""
        if not self._ended and message.qos:
            ready = self._window.acknowledge(message.packet_id)
            if ready and not self._due:
                self._loop.call_soon(self._acknowledge)
            self._due += ready

    def _acknowledge(self) -> None:
        due, self._due = self._due, []
        if due:
            self._send_pubacks(due)
            if self._overflowed and not self._window:
                self._paho.disconnect()  # after the acknowledgements; `batches` ends with it

    def _send_pubacks(self, packet_ids: list[int]) -> None:
        if self._tapped:  # as one packet: paho writes it out, however often that takes, and does not look into it
            self._paho._packet_queue(MessageType.PUBACK, pubacks(packet_ids), 0, 1)  # noqa: SLF001
        else:
            for packet_id in packet_ids:
                self._paho.ack(packet_id, 1)


class MqttSource:
    """Keeps a connection to the broker and feeds the intake; a new client for each connection."""

    def __init__(
        self, settings: MqttSettings, intake: Intake, health: Health, *, memory: KeyValueStore, publisher: Publisher
    ) -> None:
        """`memory` keeps what the session at the broker must not outlive; `publisher` hears of trouble with the broker."""
        self._settings = settings
        self._intake = intake
        self._health = health
        self._session = SessionState(memory, settings)
        self._publisher = publisher
        self._tapped = can_read_ahead(PahoClient)
        if not self._tapped:
            log.warning("this release of paho-mqtt is not the one we know: it is used as it is, and messages cost more time")
        self._connection: MqttConnection | None = None
        self._drops: asyncio.Queue[bytes] = asyncio.Queue(1)  # the newest count; it has the others in it
        self.broker_dropped = 0
        """Messages the broker dropped, by its own count, since this bridge first asked it."""

    async def run(self) -> None:
        """Until cancelled."""
        waits = self._waits()
        ended = TakeoverDetector()
        while True:
            try:
                async with (
                    MqttConnection(self._settings, self._take_in, tapped=self._tapped) as connection,
                    asyncio.TaskGroup() as tasks,
                ):
                    # A resumed session delivers at once: what waited there is taken in before the SUBACK behind it.
                    receiving = tasks.create_task(connection.run(), name="mqtt receive")
                    tasks.create_task(self._watch_drops(), name="mqtt drops")
                    await self._subscribe(connection)
                    self._connection = connection
                    waits = self._waits()
                    ended.begin()
                    if self._health.up(SOURCE):
                        log.info("connected to %s as %s", self._settings.address, self._settings.client_id)
                    await receiving
            except* ReceiveWindowExceeded:
                ended.forget()
                waits = itertools.chain([0.0], self._waits())
            except* SessionTakenOver:
                ended.taken()
            except* BrokerUnavailable as group:
                ended.end()
                self._away(str(group.exceptions[0]))
            finally:
                self._connection = None
            if ended.too_often:
                reason = _shared_client_id(self._settings.client_id)
                self._away(reason)
                self._publisher.publish([SystemEvent("error", reason)])
                waits = itertools.chain([_TAKEN_SECONDS], self._waits())
            stop_if_cancelled()  # a TaskGroup whose connection broke just then tells of that alone
            await asyncio.sleep(next(waits))

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        """Publish a command for a device, worthless after `seconds`; raises `BrokerUnavailable`."""
        if self._connection is None:
            raise BrokerUnavailable("the broker is away")
        topic = self._settings.command_topic(device_id)
        await self._connection.publish(topic, orjson.dumps(body), seconds)

    def _away(self, reason: str) -> None:
        if self._health.down(SOURCE, f"{self._settings.address}: {reason}"):
            log.warning("broker away: %s: %s", self._settings.address, reason)

    async def _subscribe(self, connection: MqttConnection) -> None:
        await connection.subscribe()
        await connection.watch_drops()
        await connection.unsubscribe(await self._session.outdated_filters())
        await self._session.save_filters()

    def _take_in(self, messages: list[Message]) -> None:
        for message in messages:
            if message.topic == DROPPED_TOPIC:
                if self._drops.full():
                    self._drops.get_nowait()
                self._drops.put_nowait(message.payload)
            else:
                self._intake.put(message)

    async def _watch_drops(self) -> None:
        while True:
            await self._dropped(await self._drops.get())

    async def _dropped(self, payload: bytes) -> None:
        """The broker tells how many messages it has dropped since it started, for whomever."""
        more = await self._session.dropped_since(payload)
        if more:
            self.broker_dropped += more
            text = f"the broker dropped {more} messages; its queues are too short, or a subscriber is too slow"
            log.warning(text)
            self._publisher.publish([SystemEvent("warning", text, {"dropped": more})])

    def _waits(self) -> Iterator[float]:
        return delays(_RECONNECT_FIRST_SECONDS, self._settings.reconnect_cap_seconds)


def _shared_client_id(client_id: str) -> str:
    return (
        f"the broker closes our connections at once: another client uses our client id {client_id!r}; each bridge needs "
        "one of its own: mqtt.client_id (BRIDGE_MQTT__CLIENT_ID)"
    )


def _session_client(settings: MqttSettings, queue: BatchQueue) -> aiomqtt.Client:
    """A client whose session outlives the connection: what arrives meanwhile waits at the broker."""

    def our_queue(maxsize: int) -> BatchQueue:  # noqa: ARG001 - aiomqtt calls it like the class
        return queue

    if settings.protocol == "3.1.1":
        return made_client(settings, settings.client_id, queue_type=our_queue, clean_session=False)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_seconds
    properties.ReceiveMaximum = settings.receive_maximum
    return made_client(settings, settings.client_id, queue_type=our_queue, clean_start=False, properties=properties)


def _subscribe_options(qos: int, protocol: str) -> dict[str, Any]:
    """Never QoS 2: there paho sends PUBREC, which takes the message over, before we have seen it."""
    if protocol == "3.1.1":
        return {"qos": qos}
    return {"options": SubscribeOptions(qos, retainHandling=_SEND_RETAINED_WHEN_NEW)}
