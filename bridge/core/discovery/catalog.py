"""The sensors that devices announced, by state topic, and the formats that read their states."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.core.decode import Route
from bridge.core.devices.profiles import part_id
from bridge.core.discovery.entities import Entity, entity_from_document
from bridge.core.discovery.templates import ValueTemplate
from bridge.core.errors import FormatError, NotReading
from bridge.core.formats.format import Parsed, Sample
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import TIMESTAMP, Leaf
from bridge.core.topic import TopicPattern

FAMILY = "discovery"
ENTITIES_LIMIT = 2000
TOPIC_ENTITIES_LIMIT = 100
TOPIC_TEMPLATES_LENGTH = 8192
"""Characters of all templates of one topic that need Jinja2: they bound what a message costs."""

_TIME_KEYS = ("timestamp", "time", "ts", "datetime", "last_seen")
_NO_VALUE = ("", "unknown", "unavailable", "none", "nan", "null", "undefined")


class AnnouncedFormat:
    """The format of one state topic: the states of all its sensors, as one record of each device."""

    def __init__(self, entities: Sequence[tuple[Entity, str]]) -> None:
        """`entities` are the sensors with their parts; "" is the device itself."""
        self._entities = entities
        self._templates: list[ValueTemplate] | None = None

    def __call__(self, payload: Payload) -> Parsed:
        if self._templates is None:
            self._templates = [ValueTemplate(entity.template) for entity, _ in self._entities]
        text, body = payload.text(), payload.json_or_none()
        leaves: dict[tuple[str, str], list[Leaf]] = defaultdict(list)
        for (entity, part), template in zip(self._entities, self._templates, strict=True):
            leaf = _leaf(entity, template, text, body)
            if leaf is not None:
                leaves[entity.device.id, part if entity.field else ""].append(leaf)
        samples = [
            Sample(found, device_id=device, part=part)
            for (device, part), found in leaves.items()
            if any(leaf.field is not None for leaf in found)
        ]
        if not samples and not any(leaf.reason for found in leaves.values() for leaf in found if leaf.value is None):
            raise NotReading("no measurement in the states of its sensors")
        others = [leaf for found in leaves.values() if all(leaf.field is None for leaf in found) for leaf in found]
        return Parsed(samples, [*others, *_time(body)], FAMILY)


def _leaf(entity: Entity, template: ValueTemplate, text: str, body: object) -> Leaf | None:
    """Return the state of a sensor as a leaf; None if it has none in this payload."""
    try:
        state = template.render(text, body)
    except FormatError as error:
        return Leaf(entity.name, None, None, None, str(error))
    if state is None or str(state).strip().lower() in _NO_VALUE:
        return None
    if entity.on and entity.field is not None:
        state = {entity.on: True, entity.off: False}.get(str(state), state)
    if entity.field is None:
        return Leaf(entity.name, state, None, None, entity.reason)
    return Leaf(entity.name, state, entity.field, entity.unit)


def _time(body: object) -> list[Leaf]:
    if not isinstance(body, dict):
        return []
    return [Leaf(key, body[key], TIMESTAMP) for key in _TIME_KEYS if isinstance(body.get(key), int | float | str)][:1]


class EntityCatalog:
    """Announced sensors by the topic of their announcement, within limits.

    Of several sensors of a device that measure the same, one is the device's own series and the others are parts. Which one
    that is does not change, whatever is announced later or in another order, so it is stored too.
    """

    def __init__(self) -> None:
        self._by_config: dict[str, tuple[Entity, ...]] = {}
        self._mains: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        """Why an announcement was not taken, by its topic."""

    def __len__(self) -> int:
        return sum(map(len, self._by_config.values()))

    def put(self, config_topic: str, entities: Iterable[Entity]) -> bool:
        """Replace the sensors of an announcement, none to remove them; return whether anything changed.

        Raises `FormatError` beyond the limit.
        """
        new = tuple(entities)
        before = self._by_config.get(config_topic, ())
        self.refused.pop(config_topic, None)
        if new == before:
            return False
        if len(self) - len(before) + len(new) > ENTITIES_LIMIT:
            raise FormatError(f"the limit of {ENTITIES_LIMIT} announced sensors is reached")
        self._by_config.pop(config_topic, None)
        if new:
            self._by_config[config_topic] = new
        return True

    def refuse(self, config_topic: str, reason: str) -> None:
        """Record why an announcement was not taken; an earlier one on its topic stays."""
        if len(self.refused) < ENTITIES_LIMIT:
            self.refused[config_topic] = reason

    def suggestions(self) -> dict[str, dict[str, str]]:
        """Return attributes of the devices with a measurement and of their parts, by id, as they describe themselves."""
        parts = self._parts()
        suggested: dict[str, dict[str, str]] = {}
        for entity in self._entities():
            if entity.field is None:
                continue
            device, part = entity.device, parts.get(entity.key, "")
            described = {"name": device.name, "type": device.model, "room": device.area}
            suggested[device.id] = {key: text for key, text in described.items() if text}
            if part and device.name:
                suggested[part_id(device.id, part)] = suggested[device.id] | {"name": f"{device.name} {entity.name}"}
        return suggested

    def _entities(self) -> list[Entity]:
        return sorted((entity for entities in self._by_config.values() for entity in entities), key=lambda one: one.key)

    def routes(self) -> dict[str, Route]:
        """Return a route for each state topic with a measurement."""
        by_topic: dict[str, list[Entity]] = defaultdict(list)
        for entity in self._entities():
            by_topic[entity.state_topic].append(entity)
        parts = self._parts()
        return {
            topic: Route(
                TopicPattern(topic, tuple(topic.split("/")), (None,) * (topic.count("/") + 1)),
                format=AnnouncedFormat([(entity, parts.get(entity.key, "")) for entity in self._affordable(topic, entities)]),
            )
            for topic, entities in by_topic.items()
            if any(entity.field is not None for entity in entities)
        }

    def _affordable(self, topic: str, entities: list[Entity]) -> list[Entity]:
        """Return the sensors of a topic within its limits, measurements first."""
        cost, affordable = 0, []
        for entity in sorted(entities, key=lambda one: one.field is None)[:TOPIC_ENTITIES_LIMIT]:
            cost += ValueTemplate(entity.template).cost
            if cost <= TOPIC_TEMPLATES_LENGTH:
                affordable.append(entity)
        if len(affordable) < len(entities):
            self.refuse(topic, f"{len(entities) - len(affordable)} sensors beyond the limits of one topic")
        return affordable

    def _parts(self) -> dict[str, str]:
        """Return the part of each sensor by its key; a sensor that is the device's own series has none."""
        groups: dict[tuple[str, str], list[Entity]] = defaultdict(list)
        for entity in self._entities():
            if entity.field is not None:
                groups[entity.device.id, entity.field].append(entity)
        parts: dict[str, str] = {}
        for (device, field), entities in groups.items():
            series = f"{device}|{field}"
            main = self._mains.get(series)
            if main is None:
                main = min(entities, key=lambda one: (len(one.name), one.name, one.key)).key
                self._mains[series] = main
            parts |= {entity.key: _part(entity, entities) for entity in entities if entity.key != main}
        return parts

    def to_document(self) -> dict[str, Any]:
        topics = {topic: [entity.to_document() for entity in entities] for topic, entities in self._by_config.items()}
        return {"topics": topics, "mains": self._mains}

    def load(self, document: Mapping[str, Any]) -> None:
        """Take the sensors of a document; those that are not valid are left out, and are announced again."""
        for topic, entities in document.get("topics", {}).items():
            try:
                self.put(topic, [entity_from_document(one) for one in entities])
            except (FormatError, KeyError, TypeError):
                continue
        self._mains = {str(series): str(key) for series, key in document.get("mains", {}).items()}


def _part(entity: Entity, others: Sequence[Entity]) -> str:
    """Return the name of a sensor, with its key if another sensor of the device has the same name."""
    if sum(other.name == entity.name for other in others) > 1:
        return f"{entity.name}.{entity.key.rpartition('/config')[0].rpartition('/')[2] or entity.key}"
    return entity.name
