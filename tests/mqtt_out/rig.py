"""What the bridge publishes by MQTT, on a real broker, without the rest of the bridge."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from bridge.alarms.record import AlarmRecord, AlarmState
from bridge.alarms.rules import Priority
from bridge.core.events import AlarmChanged
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.mqtt_out.alarm_topics import AlarmTopics
from bridge.mqtt_out.retained import RetainedMessages
from bridge.mqtt_out.stage import MqttOut
from bridge.pipeline.intake import Intake
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import connected_client
from bridge.sources.mqtt.connection import RetainedMessage
from bridge.sources.mqtt.source import MqttSource
from tests.fakes import MemoryStore, RecordingPublisher
from tests.servers import until

START_MS = 1_767_000_000_000


def settings_for(url: str, **more: object) -> MqttSettings:
    return MqttSettings.model_validate({"url": url, "client_id": f"t-{uuid.uuid4().hex[:8]}", **more})


async def kept(url: str, topic_filter: str) -> dict[str, bytes]:
    """The retained messages that the broker has."""
    marker, found = f"marker/{uuid.uuid4().hex}", dict[str, bytes]()
    async with connected_client(settings_for(url), None) as client, asyncio.timeout(30):
        await client.subscribe(topic_filter, qos=1)
        await client.subscribe(marker, qos=1)
        await client.publish(marker, b"all before was retained", qos=1)
        async for message in client.messages:
            if message.topic.value == marker:
                break
            if message.retain:
                found[message.topic.value] = bytes(message.payload)
    return found


async def kept_bodies(url: str, topic_filter: str) -> dict[str, Any]:
    return {topic: orjson.loads(payload) for topic, payload in (await kept(url, topic_filter)).items()}


def record(device_id: str | None = "kitchen", rule: str = "co-ceiling", **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": AlarmState.UNACKNOWLEDGED, "value": 212.0, "unit": "ppm", "limit": 200.0, **more}
    return AlarmRecord(
        id="a1",
        rule=rule,
        device_id=device_id,
        priority=Priority.CRITICAL,
        message="Carbon monoxide 212 ppm",
        advice="Leave.",
        raised_ms=START_MS,
        **fields,
    ).public()


def changed(device_id: str | None = "kitchen", rule: str = "co-ceiling", kind: str = "raised", **more: Any) -> AlarmChanged:
    return AlarmChanged(device_id, rule, START_MS, kind, record(device_id, rule, **more))


class Rig:
    """A connection of the bridge with a stage that publishes alarms; more than one in turn may have the same memory."""

    def __init__(
        self, settings: MqttSettings, memory: MemoryStore | None = None, *, alarms: str | None = "alarms", will: bool = False
    ) -> None:
        self.settings = settings
        self.memory = memory or MemoryStore()
        self.health = Health(("mqtt",))
        self.intake = Intake(Ledger(), qos0_limit=1000, batch_limit=10_000)
        self.source = MqttSource(
            settings,
            self.intake,
            self.health,
            memory=self.memory,
            publisher=RecordingPublisher(),
            will=RetainedMessage("status", b"offline") if will else None,
        )
        self.retained = RetainedMessages(self.source.publish_retained, self.memory)
        self.source.on_connected = self.retained.on_connected
        self.standing: list[dict[str, Any]] = []
        topics = None if alarms is None else AlarmTopics(alarms, self.retained)
        self.stage = MqttOut(self.retained, topics, None, standing=lambda: self.standing)
        self.out = self.stage.next = RecordingPublisher()

    @asynccontextmanager
    async def running(self, *, connected: bool = True) -> AsyncIterator[None]:
        await self.stage.load()
        tasks = [asyncio.create_task(self.source.run()), asyncio.create_task(self.stage.run())]
        try:
            await until(lambda: self.stage.is_started)
            if connected:
                await until(lambda: self.health.ready, what="connected")
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def publish(self, *events: AlarmChanged) -> None:
        """Publish, and wait until the broker has everything."""
        self.stage.publish(events)
        await self.sent()

    async def sent(self) -> None:
        await until(lambda: not self.retained.waiting and not self.retained.sending, what="everything published")


def devices_of(bodies: Iterable[dict[str, Any]]) -> list[str]:
    return [body["device"]["name"] for body in bodies]
