"""Messages from an MQTT broker: keeps a connection, delivers to the intake, and reports its state."""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version

import orjson
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import CallbackAPIVersion

from bridge.core.errors import BrokerUnavailable, ReceiveWindowExceeded, SessionTakenOver
from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.message import Message
from bridge.core.topic_filter import covers
from bridge.pipeline.backoff import delays
from bridge.pipeline.intake import Intake
from bridge.ports import KeyValueStore, Publisher, SessionLease
from bridge.settings import MqttSettings, SubscriptionSettings
from bridge.sources.mqtt.client import raise_if_cancelled
from bridge.sources.mqtt.connection import DROPPED_TOPIC, SOURCE, MqttConnection, RetainedMessage
from bridge.sources.mqtt.copy_filter import CopyFilter
from bridge.sources.mqtt.diagnosis import Diagnosis, diagnose
from bridge.sources.mqtt.paced_reads import CLUSTER_PAUSES, PAUSES
from bridge.sources.mqtt.read_ahead_socket import unsupported_name
from bridge.sources.mqtt.session_state import SessionState, TakeoverDetector, end_with
from bridge.sources.mqtt.subscriptions import Filter, SubscriptionPlan, filter_in_share, shared_filter

log = logging.getLogger(__name__)

_RECONNECT_FIRST_SECONDS = 0.2
_SUBSCRIBE_AGAIN_SECONDS = 30.0
_DIAGNOSE_AGAIN_SECONDS = 30.0
_REPEAT_SECONDS = 300.0  # reasons that alternate are not logged again within this time
_REASONS = 100
_CONFIRM_SECONDS = 1.0
_SUBSCRIPTIONS = "subscriptions"
_TAKEOVER_SECONDS = 10.0  # two bridges with one client id take the session from each other no more often than this


def fast_path_works(paho: object) -> bool:
    """Whether paho's client has the private names of the fast path; logs a warning if not."""
    name = unsupported_name(paho)
    if name is not None:
        log.warning(
            "mqtt: unsupported paho-mqtt %s (%s changed): fast path disabled, throughput drops about 5x",
            version("paho-mqtt"),
            name,
        )
    return name is None


class Outage:
    """What was logged since the connection was lost: each reason once, and again if it returns much later."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}
        self._latest = ""
        self.is_over = False

    def is_new(self, reason: str) -> bool:
        """Note the present reason; return whether it is to be logged."""
        now = time.monotonic()
        is_same, self._latest, self.is_over = reason == self._latest, reason, False
        if is_same or now - self._logged.get(reason, -math.inf) < _REPEAT_SECONDS:
            return False
        if len(self._logged) >= _REASONS:
            self._logged.clear()
        self._logged[reason] = now
        return True

    def end(self) -> bool:
        """Return whether there was an outage, or no connection yet."""
        was_over, self.is_over, self._latest = self.is_over, True, ""
        self._logged.clear()
        return not was_over


class _PlanChanged(BrokerUnavailable):
    """The connection is to begin again, because subscriptions that overlap were added or removed."""


class MqttSource:
    """Keeps a connection to the broker and feeds the intake; each connection has its own client."""

    def __init__(
        self,
        settings: MqttSettings,
        intake: Intake,
        health: Health,
        *,
        memory: KeyValueStore,
        publisher: Publisher,
        will: RetainedMessage | None = None,
        share: str | None = None,
        watch_drops: bool = True,
    ) -> None:
        """`memory` stores the state of the session at the broker; `publisher` receives system events about the broker.

        `will` is published when the connection is lost, and when the bridge stops. `share` is the group of a cluster whose
        bridges share all messages; `watch_drops` is whether this one reports what the broker drops.
        """
        self._settings = settings
        self._intake = intake
        self._health = health
        self._memory = memory
        self._share = share
        self._session = SessionState(memory, settings.client_id, share)
        self._lease: SessionLease | None = None
        self._watches_drops = watch_drops
        self._drops_applied: tuple[MqttConnection, bool] | None = None
        self._publisher = publisher
        self._will = will
        self._publications_refused = 0
        self.on_connected: Callable[[], None] = lambda: None
        """Called on each connection, when it has its subscriptions."""
        self.is_fast = fast_path_works(PahoClient(CallbackAPIVersion.VERSION2))
        self._connection: MqttConnection | None = None
        self._drops: asyncio.Queue[bytes] = asyncio.Queue(1)  # the newest count, which includes the earlier ones
        self.connected = asyncio.Event()
        """Set when the first connection has its subscriptions."""
        self._outage = Outage()
        self._refused = ""  # the subscriptions that the broker refuses, in words
        self._diagnosed: tuple[str, float, Diagnosis] = ("", -math.inf, Diagnosis(""))
        self._waits = self._delays()
        self.copies = CopyFilter(SubscriptionPlan.of(settings.subscriptions))
        """The subscriptions, and the count of copies that overlapping ones delivered."""
        self.broker_dropped = 0
        """Messages dropped by the broker, by its own count, since this bridge first read it."""
        self._stored: tuple[SubscriptionSettings, ...] = ()
        self._plan = self._configured = self.copies.plan
        self._additional: dict[str, int] = {}
        self._changed, self._applied = asyncio.Event(), asyncio.Event()
        self._applying = asyncio.Lock()
        self._subscribed: dict[MqttConnection, dict[str, int]] = {}  # the additional filters of the current connection
        self.refused: dict[str, str] = {}
        """Additional filters that the broker refused on this connection, each with its reason."""

    def subscribe_also(self, subscriptions: Sequence[SubscriptionSettings], topics: Iterable[str]) -> None:
        """Subscribe to these too, beside the settings: now, and on each later connection. They replace those of the last call.

        Where subscriptions overlap, all are planned together, and the connection begins again with the new plan. `topics` are
        single ones that no subscription delivers.
        """
        if tuple(subscriptions) != self._stored:
            self._stored = tuple(subscriptions)
            self._plan = self._planned()
        additional = dict.fromkeys(topics, 1)
        if self._plan is self._configured:
            additional |= {one.route.pattern.topic_filter: one.qos for one in self._stored}
        self._additional = additional
        self._applied.clear()
        self._changed.set()

    def _planned(self) -> SubscriptionPlan:
        """Return the plan of all subscriptions; that of the settings if no stored one has a topic in common with another."""
        plan = SubscriptionPlan.of((*self._settings.subscriptions, *self._stored))
        stored = (Filter(one.route.pattern.topic_filter, one.qos) for one in self._stored)
        if plan.filters == (*self._configured.filters, *stored) and not self._configured.overlapping:
            return self._configured
        return self.copies.plan if plan == self.copies.plan else plan

    async def applied(self, seconds: float) -> None:
        """Wait until the broker has the filters of the last call, at most for some seconds.

        Returns at once while the broker is unavailable, or if another bridge of the cluster receives.
        """
        if self._connection is None or not self.receives:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._applied.wait()

    def watch_drops(self, enabled: bool) -> None:
        """Report what the broker drops from now on, or leave it to another bridge of the cluster."""
        self._watches_drops = enabled
        self._changed.set()

    @property
    def settings(self) -> MqttSettings:
        """The settings in use: MQTT 3.1.1 if the broker supports no other, and the client id of the session."""
        return self._settings

    @property
    def is_shared(self) -> bool:
        """Whether the bridges of a cluster share the subscriptions."""
        return self._share is not None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the broker, with its subscriptions if this bridge receives."""
        return self._connection is not None

    @property
    def receives(self) -> bool:
        """Whether this bridge receives messages. Of a cluster, it may be another one."""
        return self._lease is None or self._lease.receives

    async def run(self, lease: SessionLease | None = None) -> None:
        """Connect, receive and reconnect until cancelled, or until the lease on the session has ended.

        In a cluster the client id is that of the lease, which is confirmed before each connection. With a lease for publishing
        only, nothing is received: the connection has no session and no subscriptions.
        """
        for remark in self.copies.plan.remarks:
            log.warning("mqtt: mqtt.subscriptions: %s", remark)
        self._lease = lease
        if lease is not None:
            self._settings = self._settings.model_copy(update={"client_id": lease.client_id})
            self._session = SessionState(self._memory, lease.client_id, self._share)
        takeovers = TakeoverDetector()
        while lease is None or await lease.confirm():
            if self._plan is not self.copies.plan:
                self.copies = self.copies.replanned(self._plan)
                self.copies.also = self._additional.keys()  # the session may have them: what waits there arrives first
            await self._start_copies()
            failure = await self._receive(takeovers)
            raise_if_cancelled()  # a TaskGroup that is cancelled while its connection breaks raises only the latter
            if not await self._has_lost_place():
                await self._on_disconnected(failure, takeovers)
                raise_if_cancelled()
                await asyncio.sleep(next(self._waits))
        if lease.receives:
            self._health.down(SOURCE, f"another bridge of the cluster has the session {lease.client_id}")

    async def _has_lost_place(self) -> bool:
        """Whether the connection ended because another bridge has the session, as far as the store says so soon."""
        if self._lease is None:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await self._lease.confirm()
        return self._lease.has_ended

    async def _start_copies(self) -> None:
        """Tell the copy filter which filters the session has.

        Shared filters are merged where they overlap: the broker gives the copies of a message to different bridges, and none
        of them knows which copy another took.
        """
        earlier = await self._session.filters()
        subscribed = None if earlier is None else [filter_in_share(text, self._share) for text in earlier]
        self.copies.start(subscribed, identified=self._settings.protocol == "5" and self._share is None)

    async def _receive(self, takeovers: TakeoverDetector) -> BrokerUnavailable | None:
        """Connect and receive until the connection ends; return the reason."""
        failures: list[BrokerUnavailable] = []
        try:
            async with (
                MqttConnection(
                    self._settings,
                    self._deliver,
                    fast=self.is_fast,
                    copies=self.copies,
                    will=self._will,
                    share=self._share,
                    may_acknowledge=self._may_acknowledge,
                    keeps_session=self.receives,
                    pauses=PAUSES if self._lease is None else CLUSTER_PAUSES,
                ) as connection,
                asyncio.TaskGroup() as tasks,
            ):
                if self._lease is not None:
                    tasks.create_task(end_with(self._lease), name="mqtt session lease")
                # A resumed session delivers at once: its messages are received before the SUBACK that follows them.
                receiving = tasks.create_task(connection.run(), name="mqtt receive")
                if self.receives:
                    tasks.create_task(self._watch_drops(), name="mqtt drops")
                    await self._subscribe(connection)
                self._connection = connection
                self._waits = self._delays()
                takeovers.on_connected()
                self._report_connected()
                self.on_connected()
                if self.receives:
                    tasks.create_task(self._follow_changes(connection), name="mqtt subscriptions")
                    tasks.create_task(self._subscribe_again(connection), name="mqtt refused subscriptions")
                await receiving
        except* BrokerUnavailable as group:
            failures += [one for one in group.exceptions if isinstance(one, BrokerUnavailable)]
        finally:
            self._publications_refused, self._connection = self.publications_refused, None
        # The more specific reason first: SUBSCRIBE may fail because of a takeover.
        return min(failures, key=lambda failure: type(failure) is BrokerUnavailable, default=None)

    async def _on_disconnected(self, failure: BrokerUnavailable | None, takeovers: TakeoverDetector) -> None:
        """Report why there is no connection, and determine when to try again."""
        if isinstance(failure, ReceiveWindowExceeded | _PlanChanged):
            takeovers.reset()
            self._waits = itertools.chain([0.0], self._delays())
        elif isinstance(failure, SessionTakenOver):
            takeovers.on_taken_over()
        elif failure is not None:
            takeovers.on_disconnected()
            await self._on_failure(failure)
        if takeovers.too_often:
            reason = _shared_client_id(self._settings.client_id, self._share, in_cluster=self._lease is not None)
            self._report_unavailable(reason)
            self._publisher.publish([SystemEvent("error", reason)])
            self._waits = itertools.chain([_TAKEOVER_SECONDS], self._delays())

    async def _on_failure(self, failure: BrokerUnavailable) -> None:
        """Report the failure of a connection. Connect with MQTT 3.1.1 from now on if the broker supports no other."""
        diagnosis = await self._diagnose(failure)
        if not diagnosis.only_311 or self._settings.protocol == "3.1.1":
            self._report_unavailable(diagnosis.reason)
            return
        self._settings = self._settings.model_copy(update={"protocol": "3.1.1"})
        self._waits = itertools.chain([0.0], self._delays())
        log.warning("mqtt: %s: %s; connecting with 3.1.1 meanwhile", self._settings.address, diagnosis.reason)

    async def _diagnose(self, failure: BrokerUnavailable) -> Diagnosis:
        """Diagnose a failure; one like the last is diagnosed again only after a while, because it may ask the broker's port."""
        now = time.monotonic()
        text, at, diagnosis = self._diagnosed
        if str(failure) != text or now - at > _DIAGNOSE_AGAIN_SECONDS:
            diagnosis = await diagnose(failure, self._settings)
            self._diagnosed = (str(failure), now, diagnosis)
        return diagnosis

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        """Publish a command for a device, which expires after `seconds`. Raises `BrokerUnavailable`."""
        if self._connection is None:
            raise BrokerUnavailable("the broker is unavailable")
        topic = self._settings.command_topic(device_id)
        if topic is None:
            raise BrokerUnavailable("the device has no topic for commands: one that begins with $ is the broker's own")
        await self._connection.publish(topic, orjson.dumps(body), seconds)

    async def publish_retained(self, topic: str, payload: bytes) -> None:
        """Have the broker keep a message with QoS 1; an empty one removes the message of the topic.

        Returns when it is acknowledged. Raises `BrokerUnavailable`.
        """
        connection = self._connection
        if connection is None:
            raise BrokerUnavailable("the broker is unavailable")
        await connection.publish(topic, payload, retain=True)

    @property
    def publications_refused(self) -> int:
        """Messages that the broker did not publish, since the start. With MQTT 3.1.1 it does not say so."""
        return self._publications_refused + (0 if self._connection is None else self._connection.publications_refused)

    def _report_unavailable(self, reason: str) -> None:
        self._health.down(SOURCE, f"{self._settings.address}: {reason}")
        if self._outage.is_new(reason):
            cap_seconds = self._settings.reconnect_cap_seconds
            log.warning("mqtt: no connection to %s: %s; retrying every %g s", self._settings.address, reason, cap_seconds)

    def _report_connected(self) -> None:
        self._health.up(SOURCE)
        if not self.receives:  # without subscriptions the broker refuses none
            self._health.up(SOURCE, _SUBSCRIPTIONS)
            self._refused, self.refused = "", {}
        self.connected.set()
        if self._outage.end():
            address, client_id, protocol = self._settings.address, self._settings.client_id, self._settings.protocol
            log.info("mqtt: connected to %s as %s, MQTT %s", address, client_id, protocol)

    async def _subscribe(self, connection: MqttConnection) -> None:
        """Subscribe to what is not subscribed yet, and report what the broker refuses: the rest is received."""
        refused = await connection.subscribe()
        await self._apply_drops(connection)
        await self._apply_additional(connection)
        self._report_refused(refused)

    def _may_acknowledge(self) -> bool:
        return self._lease is None or self._lease.is_fresh

    async def _apply_drops(self, connection: MqttConnection) -> None:
        """Subscribe to the broker's count of dropped messages, or remove that from the session."""
        wanted = connection, self._watches_drops
        if self._drops_applied == wanted:
            return
        if self._watches_drops:
            await connection.watch_drops()
        else:
            await connection.unsubscribe([DROPPED_TOPIC])
        self._drops_applied = wanted

    async def _follow_changes(self, connection: MqttConnection) -> None:
        """Apply changes of the additional subscriptions. Raises `_PlanChanged` if the connection has to begin again."""
        while True:
            self._check_plan()
            await self._changed.wait()
            self._check_plan()  # what is applied now would count as applied, without the filters of the new plan
            await self._apply_drops(connection)
            await self._apply_additional(connection)

    def _check_plan(self) -> None:
        if self._plan is not self.copies.plan:
            raise _PlanChanged("the subscriptions overlap in another way")

    async def _apply_additional(self, connection: MqttConnection) -> None:
        """Subscribe to the additional filters that the session does not have, and remove those that nobody wants.

        Filters are stored before they are subscribed to: the session may outlive this bridge at any moment.
        """
        async with self._applying:
            self._changed.clear()
            requested = self._additional
            self.copies.also = requested.keys()
            additional = self._uncovered(requested)
            earlier = await self._session.filters()
            if earlier is not None and set(self._shared(additional)) - set(earlier):
                now = self._shared([*self.copies.subscribed, *additional])
                await self._session.save_filters(list(dict.fromkeys([*earlier, *now])))
            subscribed = self._subscribed.get(connection, {})
            refused = await connection.subscribe_also(
                {text: qos for text, qos in additional.items() if subscribed.get(text) != qos}
            )
            for text in refused.keys() - self.refused.keys():
                log.warning(
                    "mqtt: the broker refuses to subscribe to %s (%s): nothing is received from there", text, refused[text]
                )
            self.refused = {text: reason for text, reason in self.refused.items() if text in subscribed} | refused
            if earlier is not None:
                wanted = set(self._shared([*(one.text for one in self.copies.filters), *additional]))
                await connection.unsubscribe([text for text in earlier if text not in wanted])
                await self._session.save_filters(self._shared([*self.copies.subscribed, *additional]))
            self._subscribed = {connection: dict(additional)}
            if requested is self._additional:
                self._applied.set()

    def _uncovered(self, additional: Mapping[str, int]) -> dict[str, int]:
        """Return the additional filters without those whose messages the merged filters deliver: they would come twice."""
        if not self.copies.is_merged:
            return dict(additional)
        merged = self.copies.filters
        return {
            text: qos
            for text, qos in additional.items()
            if not any(one.qos >= qos and covers(one.text, text) for one in merged)
        }

    def _shared(self, texts: Iterable[str]) -> list[str]:
        return [shared_filter(text, self._share) for text in texts]

    async def _subscribe_again(self, connection: MqttConnection) -> None:
        """Try refused subscriptions again: the broker may permit them later."""
        while self._refused:
            await asyncio.sleep(_SUBSCRIBE_AGAIN_SECONDS)
            await self._subscribe(connection)

    def _report_refused(self, refused: Mapping[str, str]) -> None:
        text = ", ".join(f"{topic_filter} ({reason})" for topic_filter, reason in refused.items())
        reason = f"the broker refuses to subscribe to {text}: permit it for this user, or change mqtt.subscriptions"
        if not refused:
            self._health.up(SOURCE, _SUBSCRIPTIONS)
        else:
            self._health.down(SOURCE, f"{self._settings.address}: {reason}", _SUBSCRIPTIONS)
        if refused and text != self._refused:
            log.warning("mqtt: %s; nothing is received from there", reason)
        elif self._refused and not refused:
            log.info("mqtt: the broker permits all subscriptions now")
        self._refused = text

    def _deliver(self, messages: list[Message]) -> None:
        for message in messages:
            if message.topic != DROPPED_TOPIC:
                self._intake.put(message)
            elif self._watches_drops:
                if self._drops.full():
                    self._drops.get_nowait()
                self._drops.put_nowait(message.payload)

    async def _watch_drops(self) -> None:
        """Report how many messages the broker has dropped, for any of its clients."""
        while True:
            dropped = await self._session.dropped_since(await self._drops.get())
            if dropped:
                self.broker_dropped += dropped
                text = f"the broker dropped {dropped} messages: its queues are too short, or a subscriber is too slow"
                log.warning("mqtt: %s", text)
                self._publisher.publish([SystemEvent("warning", text, {"dropped": dropped})])

    def _delays(self) -> Iterator[float]:
        return delays(_RECONNECT_FIRST_SECONDS, self._settings.reconnect_cap_seconds)


def _shared_client_id(client_id: str, share: str | None, *, in_cluster: bool) -> str:
    if share is not None:
        return (
            f"another client uses the client id {client_id!r} of our place, and the broker closes our connections at once: "
            f"no other cluster at this broker may be called {share}, change cluster.name (BRIDGE_CLUSTER__NAME) of one"
        )
    if in_cluster:
        return (
            f"another client uses the client id {client_id!r} of the cluster, and the broker closes our connections at once: "
            "each cluster at a broker needs its own mqtt.client_id (BRIDGE_MQTT__CLIENT_ID); how to change it: docs/cluster.md"
        )
    return (
        f"another client uses our client id {client_id!r}, and the broker closes our connections at once: give each bridge "
        "its own mqtt.client_id (BRIDGE_MQTT__CLIENT_ID)"
    )
