"""What the bridge tells other programs by MQTT: standing alarms, predictions, and Home Assistant discovery."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from bridge.alarms.rules import Rule
from bridge.core.events import AlarmChanged, EntityEvent, Event, PredictionMade
from bridge.core.timestamp import parse_time
from bridge.mqtt_out.alarm_topics import AlarmTopics, Record
from bridge.mqtt_out.home_assistant.discovery import OFFLINE, HomeAssistantTopics
from bridge.mqtt_out.home_assistant.publisher import DeviceRegistry, HomeAssistant
from bridge.mqtt_out.prediction_topics import PredictionTopics
from bridge.mqtt_out.retained import Publish, RetainedMessages
from bridge.ports import KeyValueStore, Publisher
from bridge.settings import Settings


class MqttOut:
    """A publisher: `next` receives all events first."""

    next: Publisher

    def __init__(
        self,
        retained: RetainedMessages,
        alarms: AlarmTopics | None,
        home_assistant: HomeAssistant | None,
        standing: Callable[[], Iterable[Record]],
        predictions: PredictionTopics | None = None,
    ) -> None:
        """`alarms`, `home_assistant` and `predictions` are None where the settings do not turn them on; `standing` returns the
        records of the alarms that are not normal.
        """
        self.retained = retained
        self.home_assistant = home_assistant
        self._alarms = alarms
        self._standing = standing
        self._predictions = predictions
        self.predicted: Callable[[], Iterable[Record]] = tuple
        """Returns the predictions that have an hour to come."""
        self.is_started = False

    async def load(self) -> None:
        """Read which messages earlier runs have published. Raises `StoreUnavailable`."""
        await self.retained.load()

    def start(self) -> None:
        """Publish everything as it is, when the devices and the alarms are known; remove what earlier runs left behind."""
        if self._alarms is not None:
            for record in self._standing():
                self._alarms.start(record)
        if self.home_assistant is not None:
            self.home_assistant.start(self._standing())
        if self._predictions is not None or self.home_assistant is not None:
            for body in self.predicted():
                self._on_event(PredictionMade(body["deviceId"], parse_time(body["made"]) or 0, dict(body)))
        self.retained.remove_others()
        self.is_started = True

    def publish(self, events: Sequence[Event]) -> None:
        """Pass all events on, then publish what they change. What happens before the start is published by it."""
        self.next.publish(events)
        if not self.is_started:
            return
        if self._alarms is not None:
            for event in events:
                if type(event) is AlarmChanged:
                    self._alarms.on_changed(event)
        if self._predictions is not None or self.home_assistant is not None:
            for event in events:
                self._on_event(event)

    def _on_event(self, event: Event) -> None:
        if self.home_assistant is not None:
            self.home_assistant.on_event(event)
        if self._predictions is not None:
            if type(event) is PredictionMade:
                self._predictions.on_made(event)
            elif type(event) is EntityEvent and event.entity_type == "sensor" and event.event_type == "deleted":
                self._predictions.remove(event.entity_id)

    async def run(self) -> None:
        """Publish until cancelled."""
        self.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.retained.run(), name="retained messages")
            if self.home_assistant is not None:
                tasks.create_task(self.home_assistant.run(), name="home assistant")


def last_will(settings: Settings) -> tuple[str, bytes] | None:
    """Return topic and payload by which the bridge is unavailable in Home Assistant when its connection is lost."""
    return (_topics(settings).bridge_availability, OFFLINE) if settings.home_assistant.discovery else None


def mqtt_publisher(
    settings: Settings,
    version: str,
    publish: Publish,
    memory: KeyValueStore,
    registry: DeviceRegistry,
    *,
    rules: Callable[[], Sequence[Rule]],
    standing: Callable[[], Iterable[Record]],
) -> MqttOut:
    """Return the stage for the settings. Without any of them it removes what earlier runs have published."""
    retained = RetainedMessages(publish, memory)
    alarms = AlarmTopics(settings.alarms.mqtt.topic, retained) if settings.alarms.mqtt.enabled else None
    home_assistant = None
    if settings.home_assistant.discovery:
        every_seconds = settings.home_assistant.every_seconds
        home_assistant = HomeAssistant(_topics(settings), version, retained, registry, rules, every_seconds=every_seconds)
    analysis = settings.analysis.mqtt
    predictions = PredictionTopics(analysis.topic, retained) if analysis.enabled else None
    return MqttOut(retained, alarms, home_assistant, standing, predictions)


def _topics(settings: Settings) -> HomeAssistantTopics:
    return HomeAssistantTopics(settings.home_assistant.prefix, settings.home_assistant_node, settings.home_assistant_topic)
