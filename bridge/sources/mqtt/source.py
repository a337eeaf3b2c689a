"""Messages from an MQTT broker: keeps a connection, delivers to the intake, and reports its state."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from importlib.metadata import version

import orjson
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import CallbackAPIVersion

from bridge.core.errors import BrokerUnavailable, ReceiveWindowExceeded, SessionTakenOver
from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.message import Message
from bridge.pipeline.backoff import delays
from bridge.pipeline.intake import Intake
from bridge.ports import KeyValueStore, Publisher
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import raise_if_cancelled
from bridge.sources.mqtt.connection import DROPPED_TOPIC, SOURCE, MqttConnection
from bridge.sources.mqtt.read_ahead_socket import unsupported_name
from bridge.sources.mqtt.session_state import SessionState, TakeoverDetector

log = logging.getLogger(__name__)

_RECONNECT_FIRST_SECONDS = 0.2
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


class MqttSource:
    """Keeps a connection to the broker and feeds the intake; each connection has its own client."""

    def __init__(
        self, settings: MqttSettings, intake: Intake, health: Health, *, memory: KeyValueStore, publisher: Publisher
    ) -> None:
        """`memory` stores the state of the session at the broker; `publisher` receives system events about the broker."""
        self._settings = settings
        self._intake = intake
        self._health = health
        self._session = SessionState(memory, settings)
        self._publisher = publisher
        self._fast = fast_path_works(PahoClient(CallbackAPIVersion.VERSION2))
        self._connection: MqttConnection | None = None
        self._drops: asyncio.Queue[bytes] = asyncio.Queue(1)  # the newest count, which includes the earlier ones
        self.broker_dropped = 0
        """Messages dropped by the broker, by its own count, since this bridge first read it."""

    async def run(self) -> None:
        """Connect, receive and reconnect until cancelled."""
        waits = self._waits()
        takeovers = TakeoverDetector()
        while True:
            try:
                async with (
                    MqttConnection(self._settings, self._deliver, fast=self._fast) as connection,
                    asyncio.TaskGroup() as tasks,
                ):
                    # A resumed session delivers at once: its messages are received before the SUBACK that follows them.
                    receiving = tasks.create_task(connection.run(), name="mqtt receive")
                    tasks.create_task(self._watch_drops(), name="mqtt drops")
                    await self._subscribe(connection)
                    self._connection = connection
                    waits = self._waits()
                    takeovers.on_connected()
                    if self._health.up(SOURCE):
                        log.info("mqtt: connected to %s as %s", self._settings.address, self._settings.client_id)
                    await receiving
            except* ReceiveWindowExceeded:
                takeovers.reset()
                waits = itertools.chain([0.0], self._waits())
            except* SessionTakenOver:
                takeovers.on_taken_over()
            except* BrokerUnavailable as group:
                takeovers.on_disconnected()
                self._report_unavailable(str(group.exceptions[0]))
            finally:
                self._connection = None
            if takeovers.too_often:
                reason = _shared_client_id(self._settings.client_id)
                self._report_unavailable(reason)
                self._publisher.publish([SystemEvent("error", reason)])
                waits = itertools.chain([_TAKEOVER_SECONDS], self._waits())
            raise_if_cancelled()  # a TaskGroup that is cancelled while its connection breaks raises only the latter
            await asyncio.sleep(next(waits))

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        """Publish a command for a device, which expires after `seconds`. Raises `BrokerUnavailable`."""
        if self._connection is None:
            raise BrokerUnavailable("the broker is unavailable")
        topic = self._settings.command_topic(device_id)
        if topic is None:
            raise BrokerUnavailable("the device has no topic for commands: one that begins with $ is the broker's own")
        await self._connection.publish(topic, orjson.dumps(body), seconds)

    def _report_unavailable(self, reason: str) -> None:
        if self._health.down(SOURCE, f"{self._settings.address}: {reason}"):
            cap_seconds = self._settings.reconnect_cap_seconds
            log.warning("mqtt: no connection to %s (%s): retrying every %g s", self._settings.address, reason, cap_seconds)

    async def _subscribe(self, connection: MqttConnection) -> None:
        await connection.subscribe()
        await connection.watch_drops()
        await connection.unsubscribe(await self._session.outdated_filters())
        await self._session.save_filters()

    def _deliver(self, messages: list[Message]) -> None:
        for message in messages:
            if message.topic == DROPPED_TOPIC:
                if self._drops.full():
                    self._drops.get_nowait()
                self._drops.put_nowait(message.payload)
            else:
                self._intake.put(message)

    async def _watch_drops(self) -> None:
        """Report how many messages the broker has dropped, for any of its clients."""
        while True:
            dropped = await self._session.dropped_since(await self._drops.get())
            if dropped:
                self.broker_dropped += dropped
                text = f"the broker dropped {dropped} messages: its queues are too short, or a subscriber is too slow"
                log.warning("mqtt: %s", text)
                self._publisher.publish([SystemEvent("warning", text, {"dropped": dropped})])

    def _waits(self) -> Iterator[float]:
        return delays(_RECONNECT_FIRST_SECONDS, self._settings.reconnect_cap_seconds)


def _shared_client_id(client_id: str) -> str:
    return (
        f"another client uses our client id {client_id!r}, and the broker closes our connections at once: give each bridge "
        "its own mqtt.client_id (BRIDGE_MQTT__CLIENT_ID)"
    )
