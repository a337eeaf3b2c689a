"""Sparkplug B: the metrics of an edge node and its devices, in Protocol Buffers.

Source: Eclipse Sparkplug specification 3.0. On `spBv1.0/<group>/<type>/<node>` or `spBv1.0/<group>/<type>/<node>/<device>`. The
births NBIRTH and DBIRTH name each metric; NDATA and DDATA may name it by the alias of its birth alone. The node is the device;
each device of the node is a part of it, `node.device`, and so is each step of a metric's name before the last, as in
`Inputs/Temperature`. The property `engUnit` of a birth has the unit. Deaths, commands and states are no readings.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from bridge.core.errors import NotReading
from bridge.core.formats.encodings.merging import merge_samples
from bridge.core.formats.encodings.sparkplug_payload import parse_payload
from bridge.core.formats.field_names import sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import LEAVES_LIMIT
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError, check_size
from bridge.core.readings.leaf import TIMESTAMP, UNKNOWN, Leaf

_ROOT = "spBv1.0"
_BIRTHS, _DATA = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA")
_OTHERS = {
    "NDEATH": "the death of a node", "DDEATH": "the death of a device", "NCMD": "a command", "DCMD": "a command",
    "STATE": "the state of an application",
}  # fmt: skip
_UNIT_PROPERTIES = {"engunit", "engineeringunits", "units", "unit"}
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}  # bits of the data types Int8, Int16, Int32 and Int64
_VALUE_FIELDS = ("int_value", "long_value", "float_value", "double_value", "boolean_value", "string_value")
_NAME_LENGTH = 128
_PROPERTIES_LIMIT = 16
_UNNAMED = "its name is in a birth message that was not received: restart the node, or send it the command Rebirth"
_TOO_MANY = f"beyond the {LEAVES_LIMIT} metrics of a message"


class _Birth(NamedTuple):
    """What a birth says of one metric."""

    name: str
    datatype: int
    unit: str | None


def sparkplug_format(payload: Payload) -> Parsed:
    check_size(payload.data)
    group, kind, node, device = _topic(payload.topic)
    if kind in _OTHERS:
        raise NotReading(_OTHERS[kind])
    if kind not in _BIRTHS + _DATA:
        raise PayloadError(RejectionReason.NOT_OBJECT, f"not a topic of Sparkplug B: {_ROOT}/group/NDATA/node is one")
    try:
        body = parse_payload(payload.data)
    except ValueError as error:
        raise PayloadError(RejectionReason.NOT_JSON, f"not Sparkplug B: {error}") from None
    source = f"{_ROOT}/{group}/{node}/{device}"
    births = _learn(payload, source, body.metrics) if kind in _BIRTHS else _known(payload, source)
    parsed = _read(body, births, device, None if "deviceId" in payload.captures else node)
    if payload.captures.get("deviceId") == device:
        for sample in parsed.samples:
            sample.part = sample.part.removeprefix(device).strip(".")
    if not parsed.samples:
        if any(leaf.reason == _UNNAMED for leaf in parsed.common):
            raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: a metric has an alias, and {_UNNAMED}")
        raise NotReading("no metric that measures")
    return parsed


def _topic(topic: str) -> tuple[str, str, str, str]:
    """Return group, type, node and device of a topic; the device is empty for a node's own message."""
    levels = topic.split("/")
    below = levels[levels.index(_ROOT) + 1 :] if _ROOT in levels else []
    if below[:1] == ["STATE"]:
        return "", "STATE", "", ""
    group, kind, node, device = [*below, "", "", "", ""][:4]
    return group, kind, node, device


def _learn(payload: Payload, source: str, metrics: Iterable[Any]) -> dict[int, _Birth]:
    births = {
        metric.alias: _Birth(_text(metric.name), metric.datatype, _unit(metric))
        for metric in list(metrics)[:LEAVES_LIMIT]
        if metric.HasField("alias") and len(metric.name) <= _NAME_LENGTH
    }
    if payload.memory is not None:
        payload.memory.replace(source, births)
    return births


def _known(payload: Payload, source: str) -> Any:  # noqa: ANN401 - entries of the memory
    return {} if payload.memory is None else payload.memory.get(source)


def _read(body: Any, births: Any, device: str, device_id: str | None) -> Parsed:  # noqa: ANN401 - a message; births by alias
    """Return a sample per part and time."""
    parsed = Parsed([], [])
    if body.HasField("seq"):
        parsed.common.append(Leaf("seq", body.seq))
    if body.HasField("uuid"):
        parsed.common.append(Leaf("uuid", _text(body.uuid)))
    for number, metric in enumerate(body.metrics):
        birth = births.get(metric.alias) if metric.HasField("alias") else None
        name = _text(metric.name) or (birth.name if birth else "")
        place = name or f"metrics.{number}.alias"
        found = sense(name.rpartition("/")[2]) if name and number < LEAVES_LIMIT else None
        if found is None:
            reason = _TOO_MANY if number >= LEAVES_LIMIT else UNKNOWN if name else _UNNAMED
            parsed.common.append(Leaf(place, _value(metric, birth), None, None, reason))
            continue
        unit = _unit(metric) or (birth.unit if birth else None) or found.unit
        leaves = [Leaf(place, _value(metric, birth), found.field, unit)]
        time = metric.timestamp or body.timestamp
        if time:
            leaves.append(Leaf("timestamp", time, TIMESTAMP))
        part = [device, *name.split("/")[:-1], found.prefix]
        parsed.samples.append(Sample(leaves, device_id, ".".join(step for step in part if step), shares=not device))
    parsed.samples = merge_samples(parsed.samples)
    return parsed


def _value(metric: Any, birth: _Birth | None) -> object:  # noqa: ANN401 - a metric
    """Return the value of a metric: negative whole numbers are sent as unsigned ones, decimals with 24 or 53 bits."""
    if metric.is_null:
        return None
    kind = next((name for name in _VALUE_FIELDS if metric.HasField(name)), None)
    if kind is None:
        return None
    value = getattr(metric, kind)
    if kind in ("int_value", "long_value"):
        bits = _SIGNED.get(metric.datatype or (birth.datatype if birth else 0))
        low = value & (1 << bits) - 1 if bits else value
        return low - (1 << bits) if bits and low >> bits - 1 else low
    if kind == "float_value":
        return float(f"{value:.7g}")
    return _text(value) if kind == "string_value" else value


def _text(value: str | bytes) -> str:
    """Return a text of a message; one that is no UTF-8 comes as bytes."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _unit(metric: Any) -> str | None:  # noqa: ANN401 - a metric
    properties = metric.properties
    for key, value in zip(properties.keys[:_PROPERTIES_LIMIT], properties.values[:_PROPERTIES_LIMIT], strict=False):
        unit = _text(value.string_value)
        if "".join(_text(key).split()).replace("_", "").lower() in _UNIT_PROPERTIES and 0 < len(unit) <= _NAME_LENGTH:
            return unit
    return None


def recognizes(payload: Payload) -> bool:
    return payload.topic.startswith(f"{_ROOT}/")


SPEC = FormatSpec("sparkplug", f"{_ROOT}/#", (), sparkplug_format, recognizes)
