"""What devices announce of themselves: Home Assistant discovery, and the device lists of Zigbee2MQTT.

Announcements are retained messages that arrive on a connection of its own. They are stored before they apply: messages that the
broker kept for the bridge's session are understood at once after a restart, whatever arrives first.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from bridge.core.discovery.catalog import EntityCatalog
from bridge.core.discovery.entities import parse_config
from bridge.core.discovery.exposes import list_topics, parse_list
from bridge.core.errors import BrokerUnavailable, FormatError, StoreUnavailable
from bridge.core.payload import quote
from bridge.core.topic import TopicPattern
from bridge.devices.discovery.active_routes import ActiveRoutes
from bridge.devices.registry import Registry
from bridge.ports import KeyValueStore
from bridge.settings import MqttSettings

log = logging.getLogger(__name__)

_KEY = "announcements"
_QUIET_SECONDS, _LONGEST_SECONDS = 0.3, 2.0  # retained announcements arrive in a burst
_RETRY_SECONDS = 1.0
_LISTS_LIMIT = 16
_LISTED_REFUSALS = 100

Follow = Callable[[Iterable[str], Callable[[str, bytes], None]], Coroutine[Any, Any, None]]
"""Delivers what arrives on topic filters until the connection ends, which raises `BrokerUnavailable`."""


class UnitsOwner(Protocol):
    def set_units(self, units: Mapping[str, Mapping[str, str]]) -> None:
        """Replace the units that devices published, by topic and key."""


@dataclass(slots=True)
class _DeviceList:
    """What one Zigbee2MQTT lists: units by topic and property, and the model of each device."""

    units: dict[str, dict[str, str]]
    models: dict[str, str]


class Announcements:
    """Takes announcements and applies them: routes of state topics, units, and suggested attributes of devices."""

    def __init__(
        self,
        settings: MqttSettings,
        store: KeyValueStore,
        routes: ActiveRoutes,
        decoder: UnitsOwner,
        registry: Registry,
        follow: Follow,
        own: Sequence[TopicPattern] = (),
    ) -> None:
        """`own` are the topics of what the bridge itself announces, which is not taken in."""
        self._prefix = settings.discovery_prefix if settings.discovery else None
        self._cap_seconds = settings.reconnect_cap_seconds
        self._store = store
        self._routes = routes
        self._decoder = decoder
        self._registry = registry
        self._follow = follow
        self._own = own
        self._lists: dict[str, _DeviceList] = {}
        self._changed = asyncio.Event()
        self._arrived = asyncio.Event()
        self.catalog = EntityCatalog()

    async def load(self) -> None:
        """Read and apply what was announced before. Raises `StoreUnavailable`."""
        document = orjson.loads(await self._store.get(_KEY) or "{}")
        if self._prefix is not None:
            self.catalog.load(document.get("catalog", {}))
        self._lists = {base: _DeviceList(one["units"], one["models"]) for base, one in document.get("lists", {}).items()}
        await self._apply()

    async def run(self) -> None:
        """Receive and apply announcements until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._apply_changes(), name="announcements")
            while True:
                topics = self._topics()
                listening = tasks.create_task(self._receive(topics), name="announcements receive")
                while self._topics() == topics:
                    await self._routes.changed()
                listening.cancel()

    def public(self) -> dict[str, Any]:
        """Return counts, and the announcements that were not taken with their reasons, as JSON types."""
        refused = [{"topic": topic, "reason": reason} for topic, reason in self.catalog.refused.items()][:_LISTED_REFUSALS]
        return {
            "enabled": self._prefix is not None,
            "sensors": len(self.catalog),
            "topics": len(self._routes.topics),
            "zigbee2mqtt": sorted(self._lists),
            "refused": refused,
        }

    def _topics(self) -> list[str]:
        """Return the topic filters of announcements; only the components that measure are asked for."""
        prefix, levels = self._prefix, ("+", "+/+")
        configs = [f"{prefix}/{kind}/{level}/config" for kind in ("sensor", "binary_sensor", "device") for level in levels]
        return [*(configs if prefix is not None else ()), *list(list_topics(self._routes.routes))[:_LISTS_LIMIT]]

    async def _receive(self, topics: list[str]) -> None:
        while topics:
            try:
                await self._follow(topics, self._on_message)
            except BrokerUnavailable as error:
                log.debug("discovery: announcements not received (%s): retrying", error)
            await asyncio.sleep(self._cap_seconds)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if any(one.match(topic) is not None for one in self._own):
            return
        base = list_topics(self._routes.routes).get(topic)
        try:
            changed = self._on_config(topic, payload) if base is None else self._on_list(base, payload)
        except FormatError as error:
            if self.catalog.refused.get(topic) != str(error):
                log.info("discovery: %s: not taken, its sensor is not stored: %s", quote(topic), error)
            self.catalog.refuse(topic, str(error))
            return
        self._arrived.set()
        if changed:
            self._changed.set()

    def _on_config(self, topic: str, payload: bytes) -> bool:
        return self.catalog.put(topic, () if self._prefix is None else parse_config(topic, payload, self._prefix))

    def _on_list(self, base: str, payload: bytes) -> bool:
        devices = parse_list(payload or b"[]")
        listed = _DeviceList(
            {f"{base}/{one.name}": dict(one.units) for one in devices if one.units},
            {one.name: one.model for one in devices if one.model},
        )
        changed = self._lists.get(base) != listed
        self._lists[base] = listed
        return changed

    async def _apply_changes(self) -> None:
        while True:
            await self._changed.wait()
            await self._burst_ended()
            self._changed.clear()
            try:
                await self._save()
            except StoreUnavailable as error:
                log.debug("discovery: announcements not stored (%s): they apply when the store is available", error)
                self._changed.set()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await self._apply()
            sensors, topics = len(self.catalog), len(self._routes.topics)
            log.info("discovery: %d announced sensors, %d topics with measurements", sensors, topics)

    async def _burst_ended(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while True:
                    self._arrived.clear()
                    async with asyncio.timeout(_QUIET_SECONDS):
                        await self._arrived.wait()
        except TimeoutError:
            return

    async def _save(self) -> None:
        lists = {base: {"units": one.units, "models": one.models} for base, one in self._lists.items()}
        document = {"catalog": self.catalog.to_document(), "lists": lists}
        await self._store.put(_KEY, orjson.dumps(document).decode())

    async def _apply(self) -> None:
        self._decoder.set_units({topic: units for one in self._lists.values() for topic, units in one.units.items()})
        self._registry.suggest(self.catalog.suggestions() | self._models())
        await self._routes.set_topics(self.catalog.routes())

    def _models(self) -> dict[str, dict[str, str]]:
        return {name: {"type": model} for one in self._lists.values() for name, model in one.models.items()}
