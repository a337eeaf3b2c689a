"""One connection to the broker, with the bridge's session. Messages are delivered in batches and acknowledged when safe.

Two things differ from everyday use of aiomqtt; both were measured:

- aiomqtt acknowledges a message when it has queued it, not when it is safe. Manual acknowledgement is paho's; it must be set
  before connecting, because a resumed session delivers at once.
- aiomqtt receives, delivers and acknowledges one message at a time: 130 µs of CPU with MQTT 5, 90 µs with 3.1.1. The fast path
  (`read_ahead_socket.py`) takes all PUBLISHes of a read together and joins the PUBACKs of a batch: 6 to 8 µs (12 over TLS)
  under load. Without it, paho parses and acknowledges, and messages arrive through aiomqtt's queue.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, cast

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.core.ack_window import AckWindow
from bridge.core.errors import BrokerUnavailable, ReceiveWindowExceeded, SessionTakenOver
from bridge.core.message import Decoded, Message, Outcome
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import (
    SENDER_WINDOW,
    connect,
    new_client,
    note_end,
    paced_reads,
    paho_client,
    raise_if_cancelled,
    refusal_of,
)
from bridge.sources.mqtt.copy_filter import CopyFilter
from bridge.sources.mqtt.paced_reads import PAUSES, Pauses
from bridge.sources.mqtt.publish_parser import Publish, pubacks
from bridge.sources.mqtt.read_ahead_socket import read_ahead, send_pubacks
from bridge.sources.mqtt.subscriptions import Filter, SubscriptionPlan, shared_filter

log = logging.getLogger(__name__)

SOURCE = "mqtt"
"""The name of this source in the ledger and in the health report."""

DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
_OVERFLOW_FACTOR = 20  # times Receive Maximum: 20,000 messages, about 15 MB
_DISCONNECT_SECONDS = 1.0
_WILL_SECONDS = 0.5  # to publish the last will before that
_SESSION_TAKEN_OVER = 0x8E  # reason code of MQTT 5; 3.1.1 closes without one
_ACKNOWLEDGE_AGAIN_SECONDS = 0.1
_FILTERS_AT_ONCE = 100  # in one SUBSCRIBE or UNSUBSCRIBE
_IDENTIFIERS_UNSUPPORTED = 0xA1  # reason code of a SUBACK
_SEND_RETAINED_WHEN_NEW = 1  # Retain Handling 1: not at every reconnect


class RetainedMessage(NamedTuple):
    topic: str
    payload: bytes


class BatchQueue(asyncio.Queue[aiomqtt.Message]):
    """A queue whose `get` returns a list of all waiting items: aiomqtt's iterator then yields batches."""

    def _get(self) -> aiomqtt.Message:
        batch = list(self._queue)  # type: ignore[attr-defined]  # the deque that asyncio.Queue's own _get pops from
        self._queue.clear()  # type: ignore[attr-defined]
        return cast("aiomqtt.Message", batch)


def _published(batch: aiomqtt.Message) -> Iterator[Publish]:
    """Convert the result of a `BatchQueue`: a list, contrary to aiomqtt's types."""
    for message in cast("list[aiomqtt.Message]", batch):
        identifiers = tuple(getattr(message.properties, "SubscriptionIdentifier", ()))
        yield Publish(message.topic.value, message.payload, message.mid, message.qos, message.retain, identifiers)


class MqttConnection:
    """One connection, and the origin of the messages that it delivered.

    Packet ids are valid only on the connection that delivered them: on the next one the same id is another message. So an
    acknowledgement after the end of the connection is dropped, and the broker delivers that message again.
    """

    def __init__(
        self,
        settings: MqttSettings,
        deliver: Callable[[list[Message]], None],
        *,
        fast: bool,
        copies: CopyFilter | None = None,
        will: RetainedMessage | None = None,
        share: str | None = None,
        may_acknowledge: Callable[[], bool] = lambda: True,
        keeps_session: bool = True,
        pauses: Pauses = PAUSES,
    ) -> None:
        """`deliver` receives messages from `__aenter__` on and must not raise; `fast` uses the fast path.

        `copies` has the filters of the session so far; without it, those of the settings are new. `will` is published when the
        connection is lost, and when the bridge stops. `share` is the group of a cluster that all filters are shared in.
        Acknowledgements wait while `may_acknowledge` returns False, and are dropped with the connection. Without
        `keeps_session` the broker keeps nothing of the connection. `pauses` are those of `PacedReads`.
        Raises `BrokerUnavailable` if a TLS file cannot be read.
        """
        self._settings = settings
        self._deliver = deliver
        self._copies = copies or CopyFilter(SubscriptionPlan.of(settings.subscriptions))
        self._overlapping = self._copies.plan.overlapping
        self._queue = BatchQueue()
        self._will = will
        self._share = share
        self._may_acknowledge = may_acknowledge
        self._client = _session_client(settings, self._queue, will, keeps_session=keeps_session)
        self._client.pending_calls_threshold = SENDER_WINDOW
        self._paho = paho_client(self._client)
        self._paho.manual_ack_set(True)
        self._read_connack(self._paho)
        self._read_pubacks(self._paho)
        self._reads = paced_reads(self._client)
        self._reads.pauses = pauses
        self._fast = fast
        if fast:
            properties = settings.protocol == "5"
            read_ahead(self._paho, self._on_read, properties=properties, identifiers=properties and self._overlapping)
        self._loop = asyncio.get_running_loop()
        self._window = AckWindow()
        self._due: list[int] = []  # packet ids to acknowledge when the batch is complete
        self._ended = False
        self._overflowed = False
        self._granted: set[Filter] = set()
        self._identifiers_refused = False
        self._subscribing = ""  # the filter of a SUBSCRIBE without an answer
        self.publications_refused = 0
        """Messages that the broker did not publish. With MQTT 3.1.1 it does not say so."""

    def _read_connack(self, paho: PahoClient) -> None:
        """Have the broker's CONNACK say whether it supports subscription identifiers; aiomqtt does not keep it."""
        connected = cast("Callable[..., None]", paho.on_connect)

        def on_connect(*arguments: Any) -> None:  # noqa: ANN401 - as paho calls it
            if getattr(arguments[-1], "SubscriptionIdentifierAvailable", 1) == 0:
                self._copies.merge()
            connected(*arguments)

        paho.on_connect = on_connect

    def _read_pubacks(self, paho: PahoClient) -> None:
        """Have refusals of what is published logged, once a connection; aiomqtt does not look at a PUBACK's reason code."""
        published = cast("Callable[..., None]", paho.on_publish)

        def on_publish(*arguments: Any) -> None:  # noqa: ANN401 - as paho calls it
            reason = arguments[3]
            if reason.is_failure:
                if not self.publications_refused:
                    log.warning("mqtt: the broker refuses to publish messages of the bridge (%s): permit its topics", reason)
                self.publications_refused += 1
            published(*arguments)

        paho.on_publish = on_publish

    def _on_read(self, published: list[Publish]) -> None:
        self._reads.count(len(published))
        self._on_published(published)

    def _on_published(self, published: Iterable[Publish]) -> None:
        self._deliver(self._messages(published))

    async def __aenter__(self) -> "MqttConnection":
        """Connect. Raises `BrokerUnavailable`."""
        try:
            await connect(self._client, self._settings)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            self._ended = True
            raise BrokerUnavailable(str(error)) from error
        return self

    async def __aexit__(self, *error: object) -> None:
        """Send the acknowledgements that are due and disconnect, within 1.5 seconds."""
        self._send_due()
        self._ended = True
        if self._will is not None and isinstance(error[1], asyncio.CancelledError):
            with suppress(aiomqtt.MqttError, ValueError, TimeoutError):
                await asyncio.wait_for(self._client.publish(*self._will, qos=1, retain=True), _WILL_SECONDS)
        try:
            await asyncio.wait_for(self._client.__aexit__(None, None, None), _DISCONNECT_SECONDS)
        except (aiomqtt.MqttError, TimeoutError) as failure:
            log.debug("mqtt: disconnect failed (%s): connection dropped", failure)
        finally:
            note_end(self._client)

    async def subscribe(self) -> dict[str, str]:
        """Subscribe to everything in the settings; return the refused filters, each with the broker's reason.

        Called again, it tries only those. Raises `BrokerUnavailable` if the connection ends or the broker does not answer.
        """
        refused: dict[str, str] = {}
        for one in self._copies.filters:
            if one in self._granted:
                continue
            self._copies.add(one)
            if reason := await self._subscribe(replace(one, text=shared_filter(one.text, self._share))):
                self._copies.remove(one)
                refused[one.text] = reason
            else:
                self._granted.add(one)
        if self._identifiers_refused:
            self._identifiers_refused = False
            self._copies.merge()
            return await self.subscribe()
        return refused

    async def subscribe_also(self, filters: Mapping[str, int]) -> dict[str, str]:
        """Subscribe to more filters, given with their QoS; return those that the broker refuses, each with its reason.

        Raises `BrokerUnavailable` if the connection ends or the broker does not answer.
        """
        refused: dict[str, str] = {}
        waiting = list(filters.items())
        while waiting:
            some, waiting = waiting[:_FILTERS_AT_ONCE], waiting[_FILTERS_AT_ONCE:]
            plain = [(shared_filter(text, self._share), qos) for text, qos in some]
            requested = [(text, SubscribeOptions(qos, retainHandling=_SEND_RETAINED_WHEN_NEW)) for text, qos in plain]
            try:
                granted = await self._client.subscribe(plain if self._settings.protocol == "3.1.1" else requested)
            except aiomqtt.MqttError as error:
                raise BrokerUnavailable(f"subscribing to {some[0][0]}: {error}") from error
            raise_if_cancelled()
            codes: list[Any] = list(granted)
            refused |= {text: reason for (text, _), code in zip(some, codes, strict=False) if (reason := refusal_of([code]))}
        return refused

    async def watch_drops(self) -> None:
        """Subscribe to the broker's count of dropped messages; not every broker has it or permits it."""
        if reason := await self._subscribe(Filter(DROPPED_TOPIC, 0)):
            log.info(
                "mqtt: count of dropped messages unavailable (%s): messages that the broker drops are not reported", reason
            )

    async def _subscribe(self, one: Filter) -> str:
        """Subscribe to a filter; return the broker's reason if it refuses, else nothing. Raises `BrokerUnavailable`."""
        self._subscribing = one.text
        try:
            granted = await self._client.subscribe(one.text, **_subscribe_options(one, self._settings.protocol))
        except aiomqtt.MqttError as error:
            raise BrokerUnavailable(f"subscribing to {one.text}: {error}") from error
        self._subscribing = ""
        raise_if_cancelled()
        if one.identifier and _IDENTIFIERS_UNSUPPORTED in [getattr(code, "value", code) for code in granted]:
            self._identifiers_refused = True
        return refusal_of(granted)

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Remove subscriptions of the session, given as the broker knows them. Raises `BrokerUnavailable`."""
        waiting = list(topics)
        while waiting:
            some, waiting = waiting[:_FILTERS_AT_ONCE], waiting[_FILTERS_AT_ONCE:]
            try:
                await self._client.unsubscribe(some)
            except aiomqtt.MqttError as error:
                raise BrokerUnavailable(f"unsubscribing from {some[0]}: {error}") from error
        raise_if_cancelled()

    async def publish(self, topic: str, payload: bytes, seconds: float | None = None, *, retain: bool = False) -> None:
        """Publish with QoS 1 and return when it is acknowledged. With MQTT 5 the message expires after `seconds`.

        Raises `BrokerUnavailable`, also without an acknowledgement within `mqtt.timeout_seconds`.
        """
        properties = None
        if self._settings.protocol == "5" and seconds is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(math.ceil(seconds), 1)
        try:
            await self._client.publish(topic, payload, 1, retain, properties=properties)
        except (aiomqtt.MqttError, ValueError) as error:
            raise BrokerUnavailable(f"publishing to {topic}: {error}") from error
        raise_if_cancelled()

    async def run(self) -> None:
        """Deliver the messages that paho parsed itself, until the connection ends, which raises `BrokerUnavailable`."""
        try:
            async for batch in self._client.messages:
                self._on_published(_published(batch))
        except aiomqtt.MqttError as error:
            # Received messages are stored although they cannot be acknowledged: a broker that was killed may have lost it.
            if not self._queue.empty():
                self._on_published(_published(self._queue.get_nowait()))
            if self._overflowed and not self._window:
                raise ReceiveWindowExceeded("the broker sent more than Receive Maximum") from error
            cause = error.__cause__
            if isinstance(cause, aiomqtt.MqttCodeError) and getattr(cause.rc, "value", None) == _SESSION_TAKEN_OVER:
                raise SessionTakenOver(str(cause)) from error
            if self._subscribing:
                fault = f"the broker closed the connection at the subscription to {self._subscribing} ({cause or error})"
                raise BrokerUnavailable(fault, "permit it for this user, or change mqtt.subscriptions") from error
            raise BrokerUnavailable(str(cause or error)) from error

    def _messages(self, published: Iterable[Publish]) -> list[Message]:
        received_ms = time.time_ns() // 1_000_000
        if self._overlapping:
            published = self._without_copies(published)
        return [
            Message(SOURCE, topic, payload, received_ms, self, qos, packet_id, retained)
            for topic, payload, packet_id, qos, retained, _ in published
            if self._accept(qos, packet_id)
        ]

    def _without_copies(self, published: Iterable[Publish]) -> Iterator[Publish]:
        """Yield one copy of each message and acknowledge the others, in order."""
        for publish in published:
            if self._copies.takes(publish):
                yield publish
            elif publish.qos and self._accept(publish.qos, publish.packet_id):
                self._acknowledge(publish.packet_id)

    def _accept(self, qos: int, packet_id: int) -> bool:
        """Whether there is room. A message without room is not acknowledged, and is delivered again on the next connection.

        Mosquitto 2.0.11 sends two more messages for each PUBACK, so that all of a long queue is soon in flight, whatever
        Receive Maximum says. After the first message without room none is accepted: acknowledgements must stay in order.
        """
        if not qos:
            return True
        if not self._overflowed and len(self._window) >= self._settings.receive_maximum * _OVERFLOW_FACTOR:
            self._overflowed = True
            log.info("mqtt: broker exceeds Receive Maximum: reconnecting to receive the rest")
        if self._overflowed:
            return False
        self._window.add(packet_id)
        return True

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:  # noqa: ARG002
        """Send a PUBACK, whatever the outcome: in order of arrival, on this connection or not at all; a batch at a time."""
        if not self._ended and message.qos:
            self._acknowledge(message.packet_id)

    def _acknowledge(self, packet_id: int) -> None:
        ready = self._window.acknowledge(packet_id)
        if ready and not self._due:
            self._loop.call_soon(self._send_due)
        self._due += ready

    def _send_due(self) -> None:
        if self._due and not self._ended and not self._may_acknowledge():
            self._loop.call_later(_ACKNOWLEDGE_AGAIN_SECONDS, self._send_due)
            return
        due, self._due = [] if self._ended else self._due, []
        if due:
            if self._fast:
                send_pubacks(self._paho, pubacks(due))
            else:
                for packet_id in due:
                    self._paho.ack(packet_id, 1)
            if self._overflowed and not self._window:
                self._paho.disconnect()  # after the acknowledgements; `run` ends with it


def _session_client(
    settings: MqttSettings, queue: BatchQueue, will: RetainedMessage | None, *, keeps_session: bool
) -> aiomqtt.Client:
    """A client; if it keeps its session, that outlives the connection: the broker queues what arrives meanwhile."""

    def queue_type(maxsize: int) -> BatchQueue:  # noqa: ARG001 - aiomqtt calls it like the class
        return queue

    options: dict[str, Any] = {"queue_type": queue_type, "will": will and aiomqtt.Will(*will, qos=1, retain=True)}
    if settings.protocol == "3.1.1":
        return new_client(settings, settings.client_id, clean_session=not keeps_session, **options)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_seconds if keeps_session else 0
    properties.ReceiveMaximum = settings.receive_maximum
    return new_client(settings, settings.client_id, clean_start=not keeps_session, properties=properties, **options)


def _subscribe_options(one: Filter, protocol: str) -> dict[str, Any]:
    """Never QoS 2: paho would send PUBREC, which transfers responsibility for the message, before it is safe."""
    if protocol == "3.1.1":
        return {"qos": one.qos}
    options: dict[str, Any] = {"options": SubscribeOptions(one.qos, retainHandling=_SEND_RETAINED_WHEN_NEW)}
    if one.identifier:
        options["properties"] = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
        options["properties"].SubscriptionIdentifier = one.identifier
    return options
