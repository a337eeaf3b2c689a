"""Zigbee2MQTT's device list, `<base>/bridge/devices`: the unit of each value that a device sends.

By the documentation of Zigbee2MQTT: each device has `friendly_name`, its topic below the base topic, and `definition` with
`vendor`, `model` and `exposes`. An expose has `property` and `unit`, and may have more exposes as `features`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.core.decode import Route
from bridge.core.errors import FormatError
from bridge.core.formats.registry import FormatName
from bridge.core.topic import DEVICE_ID

LIST_BYTES = 4 * 1024 * 1024
DEVICES_LIMIT = 1000
_UNITS_LIMIT = 64  # of one device
_TEXT_LENGTH = 128
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device of the list: its name, its model for people, and unit by property."""

    name: str
    model: str
    units: Mapping[str, str]


def list_topics(routes: Iterable[Route]) -> dict[str, str]:
    """Return the base topic by the topic of its device list, for each Zigbee2MQTT that routes are for."""
    bases = {
        route.pattern.text.partition(f"/{{{DEVICE_ID}")[0]
        for route in routes
        if route.format is FormatName.ZIGBEE2MQTT.spec.parse and f"/{{{DEVICE_ID}" in route.pattern.text
    }
    return {f"{base}/bridge/devices": base for base in sorted(bases) if not any(mark in base for mark in "+{")}


def parse_list(payload: bytes) -> list[ListedDevice]:
    """Return the devices of a list that have units or a model. Raises `FormatError` for anything else than a list."""
    if len(payload) > LIST_BYTES:
        raise FormatError(f"it has {len(payload)} bytes, more than the {LIST_BYTES} allowed")
    try:
        devices = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise FormatError(f"it is not JSON: {error}") from None
    if not isinstance(devices, list):
        raise FormatError("it is not a list")
    return [found for device in devices[:DEVICES_LIMIT] if isinstance(device, dict) and (found := _listed(device)) is not None]


def _listed(device: Mapping[str, Any]) -> ListedDevice | None:
    name, definition = device.get("friendly_name"), device.get("definition")
    if not isinstance(name, str) or not 0 < len(name) <= _TEXT_LENGTH or not isinstance(definition, dict):
        return None
    model = " ".join(text for key in ("vendor", "model") if isinstance(text := definition.get(key), str) and text.isprintable())
    units = dict(list(_units(definition.get("exposes"), _DEPTH))[:_UNITS_LIMIT])
    return ListedDevice(name, model[:_TEXT_LENGTH], units)


def _units(exposes: object, depth: int) -> Iterator[tuple[str, str]]:
    for expose in exposes if isinstance(exposes, list) and depth else ():
        if not isinstance(expose, dict):
            continue
        name, unit = expose.get("property"), expose.get("unit")
        if isinstance(name, str) and isinstance(unit, str) and 0 < len(unit) <= _TEXT_LENGTH and 0 < len(name) <= _TEXT_LENGTH:
            yield name, unit
        yield from _units(expose.get("features"), depth - 1)
