"""A metric as Telegraf and InfluxDB know it: a name, tags, fields and a time.

The device is a tag: the first of `device_id`, `device`, … `host` that there is. A tag that names a sensor of the device is a
part. Below a topic with a level {deviceId}, a device tag that differs from it is a part; one that names a place shares the
device's series. The fields have names with a sense; a field `value` has that of the metric, or, as Home Assistant writes it, of
the tag `entity_id`, where the metric's name is the unit.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bridge.core.formats.field_names import Sense, sense
from bridge.core.formats.format import Parsed, Sample
from bridge.core.formats.leaves import untaken
from bridge.core.formats.payload import Payload
from bridge.core.formats.stated_units import StatedUnits
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNIT, UNKNOWN, Leaf
from bridge.core.readings.units import unit_name

_DEVICE_TAGS = (
    "device_id", "deviceId", "deviceid", "device", "dev_eui", "devEui", "mac", "node", "node_id", "station", "sensor_id",
    "sensor", "id", "room", "location", "host",
)  # fmt: skip
_PLACE_TAGS = ("room", "location")
_PART_TAGS = ("sensor_id", "sensor", "probe", "channel", "chip")
_VALUE_FIELDS = {"value", "val", "gauge"}
_OF_COMPUTER = {
    "cpu", "disk", "diskio", "internal", "kernel", "mem", "net", "netstat", "nvidia_smi", "processes", "procstat", "sensors",
    "smart_attribute", "smart_device", "swap", "system", "temp",
}  # fmt: skip
"""Telegraf's metrics of the computer that it runs on: the temperatures are those of chips."""
_COMPUTER = "a metric of the computer itself"


class Metric(NamedTuple):
    """One metric. `at` is its path, with a dot at the end of one that is not empty; `named` the keys of its attributes."""

    name: str
    tags: Mapping[str, Any]
    fields: Mapping[str, Any]
    timestamp: object
    at: str = ""
    named: tuple[str, str, str, str] = ("name", "tags", "fields", "timestamp")


def read_metric(metric: Metric, payload: Payload) -> Parsed:
    """Return a sample per part, each with the time and the device; the other leaves are with the first, or common."""
    name_key, tags_key, fields_key, time_key = (metric.at + key for key in metric.named)
    device_tag = _first(metric.tags, _DEVICE_TAGS)
    part_tag = _first(metric.tags, [tag for tag in _PART_TAGS if tag != device_tag])
    shared = [] if metric.timestamp is None else [Leaf(time_key, metric.timestamp, TIMESTAMP)]
    others = [Leaf(name_key, metric.name, UNIT)]
    units = StatedUnits({**metric.fields, **metric.tags})
    for tag, value in metric.tags.items():
        place = f"{tags_key}.{tag}"
        if tag == device_tag:
            shared.append(Leaf(place, value, DEVICE_ID))
        elif (tag in (part_tag, "entity_id") or tag in units.keys) and not isinstance(value, dict | list):
            others.append(Leaf(place, value, UNIT))
        else:
            others += untaken(value, place)
    parts: dict[str, list[Leaf]] = {}
    for key, value in metric.fields.items():
        place = f"{fields_key}.{key}"
        found = None if metric.name in _OF_COMPUTER or isinstance(value, dict | list) else _field_sense(metric, key)
        if key in units.keys and not isinstance(value, dict | list):
            others.append(Leaf(place, value, UNIT))
        elif found is None:
            others += untaken(value, place, _COMPUTER if metric.name in _OF_COMPUTER else UNKNOWN)
        else:
            parts.setdefault(found.prefix, []).append(Leaf(place, value, found.field, found.unit or units.of(found.field)))
    samples = _samples(metric, payload, parts, (device_tag, part_tag))
    for sample in samples:
        sample.leaves += shared
    if not samples:
        return Parsed([], others + shared)
    samples[0].leaves += others
    return Parsed(samples)


def _samples(
    metric: Metric, payload: Payload, parts: Mapping[str, list[Leaf]], tags: tuple[str | None, str | None]
) -> list[Sample]:
    device, probe = (None if tag is None else str(metric.tags[tag]) for tag in tags)
    captured = payload.captures.get("deviceId")
    is_below = captured is not None and device not in (None, captured)
    above = [device if is_below else None, probe]
    shares = not is_below or tags[0] in _PLACE_TAGS
    return [
        Sample(leaves, device if captured is None else None, ".".join(name for name in (*above, prefix) if name), shares)
        for prefix, leaves in parts.items()
    ]


def _first(tags: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if isinstance(tags.get(name), str | int)), None)


def is_of_computer(name: str) -> bool:
    """Whether a metric is one of Telegraf's about the computer that it runs on."""
    return name in _OF_COMPUTER


def _field_sense(metric: Metric, key: str) -> Sense | None:
    if key not in _VALUE_FIELDS:
        return sense(key)
    entity = metric.tags.get("entity_id")
    if isinstance(entity, str):
        found = sense(entity, any_prefix=True)
        unit = unit_name(metric.name)
        return found._replace(unit=unit) if found is not None and unit is not None else found
    return sense(metric.name)
