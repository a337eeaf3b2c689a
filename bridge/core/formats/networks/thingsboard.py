"""ThingsBoard: telemetry as it is sent to a ThingsBoard server, of one device or of a gateway's devices.

Source: ThingsBoard documentation, "MQTT Device API" and "MQTT Gateway API". One device:

    {"temperature": 21.5}   or   {"ts": 1795860000000, "values": {"temperature": 21.5}}   or a list of either

A gateway:

    {"Device A": [{"ts": 1795860000000, "values": {"temperature": 21.5}}], "Device B": [{"temperature": 4.5}]}

ThingsBoard knows the device of `v1/devices/me/telemetry` by its login: send on a topic that names the device instead. Below a
topic with a level {deviceId}, a gateway's devices are parts of it.
"""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.format import FormatSpec, Parsed
from bridge.core.formats.json import read_json
from bridge.core.formats.leaves import LEAVES_LIMIT, untaken
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import TIMESTAMP, Leaf

_TIME, _VALUES = "ts", "values"
_TOO_MANY = f"beyond the {LEAVES_LIMIT} readings of a message"


def thingsboard_format(payload: Payload) -> Parsed:
    body = payload.json()
    if not _is_gateway(body):
        return _device(body, "")
    parsed = Parsed([])
    for device, items in body.items():
        if len(parsed.samples) >= LEAVES_LIMIT:
            parsed.common += untaken(items, device, _TOO_MANY)
            continue
        one = _device(items, device)
        for sample in one.samples:
            if "deviceId" in payload.captures:
                sample.part, sample.shares = f"{device}.{sample.part}".strip("."), False
            else:
                sample.device_id = device
        parsed.samples += one.samples
        parsed.common += one.common
    return parsed


def _device(body: object, path: str) -> Parsed:
    """Return the samples of one device."""
    items = body if isinstance(body, list) else [body]
    if not items or not all(isinstance(item, dict) for item in items[:LEAVES_LIMIT]):
        raise PayloadError(RejectionReason.NOT_OBJECT, "neither an object nor a list of objects")
    parsed = Parsed([])
    for index, item in enumerate(items):
        at = ".".join(step for step in (path, str(index) if isinstance(body, list) else "") if step)
        if len(parsed.samples) >= LEAVES_LIMIT:
            parsed.common += untaken(item, at, _TOO_MANY)
        elif isinstance(item, dict):
            one = _item(item, at)
            parsed.samples += one.samples
            parsed.common += one.common
    return parsed


def _item(item: Mapping[str, Any], path: str) -> Parsed:
    """Return the samples of `{"ts": …, "values": {…}}` or of plain keys and values."""
    if not isinstance(item.get(_VALUES), dict):
        return read_json(item, path)
    prefix = f"{path}." if path else ""
    parsed = read_json(item[_VALUES], prefix + _VALUES)
    others = [leaf for key, value in item.items() if key not in (_TIME, _VALUES) for leaf in untaken(value, prefix + key)]
    if _TIME in item:
        for sample in parsed.samples:
            sample.leaves.insert(0, Leaf(prefix + _TIME, item[_TIME], TIMESTAMP))
    (parsed.samples[0].leaves if parsed.samples else parsed.common).extend(others)
    return parsed


def _is_gateway(body: object) -> bool:
    return (
        isinstance(body, dict)
        and bool(body)
        and all(
            isinstance(items, list) and items and all(isinstance(item, dict) for item in items[:LEAVES_LIMIT])
            for items in body.values()
        )
    )


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if _is_gateway(body):
        body = next(iter(body.values()))
    if isinstance(body, list):
        body = body[0] if body else None
    return isinstance(body, dict) and isinstance(body.get(_VALUES), dict) and body.keys() == {_TIME, _VALUES}


SPEC = FormatSpec(
    "thingsboard", "v1/devices/{deviceId}/telemetry", (), thingsboard_format, recognizes, signs=frozenset({_TIME})
)
