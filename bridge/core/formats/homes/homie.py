"""Homie 4 and 5: one value per property of a node of a device.

Source: the Homie convention, versions 4.0 and 5.0. Below `homie/<device>` or `homie/5/<device>`:

    <node>/<property>           21.5
    <node>/<property>/$unit     °C                          (version 4)
    $description                {"nodes": {"<node>": {"properties": {"<property>": {"unit": "°C"}}}}}   (version 5)

The property names the field; where it does not (`value`, `degrees`), the node does. Each node is a part of the device. Units
are learned from `$unit` and `$description`, which a pattern that ends in `#` takes in; without them, the unit of the field is
assumed.
"""

from collections.abc import Iterator
from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.field_names import Sense, sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.payload import Payload
from bridge.core.formats.scalar import parse_scalar
from bridge.core.readings.leaf import Leaf

_ROOT = "homie"
_VALUE_NAMES = {"value", "degrees", "percent", "percentage", "level", "state", "measurement"}
_UNITS_LIMIT = 500  # of one description


def homie_format(payload: Payload) -> Parsed:
    device, levels = _levels(payload)
    source = f"{_ROOT}/{device}"
    if any(level.startswith("$") for level in levels):
        _learn(payload, source, levels)
        raise NotReading("an attribute of a device, a node or a property")
    if len(levels) != 2:
        raise NotReading("no value of a property")
    node, name = levels
    value = parse_scalar(payload)
    found, part = _sense(node, name)
    if found is None:
        if isinstance(value, str | bool):
            raise NotReading(f"{name[:64]} is no measurement")
        return Parsed([], [Leaf(f"{node}.{name}", value)])
    learned = payload.memory.get(source).get(f"{node}/{name}") if payload.memory is not None else None
    leaf = Leaf(f"{node}.{name}", value, found.field, learned or found.unit)
    return Parsed([Sample([leaf], device, part, shares=True)])


def _sense(node: str, name: str) -> tuple[Sense | None, str]:
    """Return the sense of a property, and the part that measures it."""
    found = sense(name)
    if found is not None:
        return found, f"{node}.{found.prefix}" if found.prefix else node
    found = sense(node) if name in _VALUE_NAMES else None
    return found, "" if found is None else found.prefix


def _levels(payload: Payload) -> tuple[str, list[str]]:
    """Return the device, and the levels of the topic below it."""
    levels = payload.topic.split("/")
    device = payload.captures.get("deviceId")
    if device is not None and device in levels:
        return device, levels[levels.index(device) + 1 :]
    start = levels.index(_ROOT) + 1 if _ROOT in levels else 0
    if levels[start : start + 1] == ["5"]:
        start += 1
    return (levels[start], levels[start + 1 :]) if start < len(levels) else ("", [])


def _learn(payload: Payload, source: str, levels: list[str]) -> None:
    if payload.memory is None:
        return
    if levels[2:] == ["$unit"]:
        payload.memory.put(source, "/".join(levels[:2]), payload.text())
    elif levels == ["$description"]:
        payload.memory.replace(source, dict(_described_units(payload.json_or_none())))


def _described_units(description: object) -> Iterator[tuple[str | int, Any]]:
    for node, of_node in list(_items(description, "nodes"))[:_UNITS_LIMIT]:
        for name, of_property in list(_items(of_node, "properties"))[:_UNITS_LIMIT]:
            if isinstance(of_property, dict) and isinstance(of_property.get("unit"), str):
                yield f"{node}/{name}", of_property["unit"]


def _items(body: object, key: str) -> Iterator[tuple[str, object]]:
    inner = body.get(key) if isinstance(body, dict) else None
    return iter(inner.items()) if isinstance(inner, dict) else iter(())


def recognizes(payload: Payload) -> bool:
    return payload.topic.startswith(f"{_ROOT}/")


SPEC = FormatSpec("homie", "homie/{deviceId}/#", (), homie_format, recognizes)
