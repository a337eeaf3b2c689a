"""Shelly of the second generation and later: RPC notifications and the status of single components.

Source: Shelly API documentation, Gen2+, "Notifications" and the page of each component. A notification on `<id>/events/rpc`:

    {"src": "shellyplusht-08b61fcb6d2c", "method": "NotifyStatus", "params": {"ts": 1795860000.12,
     "temperature:0": {"id": 0, "tC": 21.6, "tF": 70.9}, "humidity:0": {"id": 0, "rh": 45.1},
     "devicepower:0": {"id": 0, "battery": {"V": 5.33, "percent": 78}, "external": {"present": false}}}}

On `<id>/status/temperature:0` the component alone. Components with id 0 are the device's own; those of its add-on have ids from
100, and each id is a part: `temperature:100` and `humidity:100` are the same probe.
"""

import re
from collections.abc import Mapping
from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import table_leaves, untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, Leaf

_COMPONENTS: Mapping[str, Table] = {
    "temperature": {"tC": ("temperature", "°C")},
    "humidity": {"rh": ("humidity", "%")},
    "illuminance": {"lux": ("illuminance", "lx")},
    "devicepower": {"battery.V": ("batteryVoltage", "V"), "battery.percent": ("battery", "%")},
    "wifi": {"rssi": ("rssi", "dBm")},
}
"""The components that measure. `pm1` is a power meter; the temperature of a switch is that of its chip."""
_COMPONENT = re.compile(r"([a-z][a-z0-9_]*)(?::(\d{1,6}))?", re.ASCII)
_SYSTEM = {"ble", "bthome", "cloud", "eth", "knx", "matter", "mqtt", "sys", "wifi", "ws"}
_RESULTS = ("params", "result")
_SAME = "the same value as tC"
_NO_BATTERY = "there is no battery: the device has external power"


def shelly_format(payload: Payload) -> Parsed:
    levels = payload.topic.split("/")
    if levels[-1] == "online":
        raise NotReading("whether a device is online")
    body = payload.object()
    if _is_status(levels):
        parsed = _components({levels[-1]: body}, "")
    else:
        key = next((name for name in _RESULTS if isinstance(body.get(name), dict)), None)
        parsed = Parsed([]) if key is None else _components(body[key], key)
        parsed.common += table_leaves(body, {"src": DEVICE_ID}, skip=() if key is None else (key,))
    if not parsed.samples:
        raise NotReading("no component that measures")
    return parsed


def _components(components: Mapping[str, Any], path: str) -> Parsed:
    """Return a sample per part. A component's path is left out of its leaves where the topic names it."""
    parts: dict[str, list[Leaf]] = {}
    common: list[Leaf] = []
    for key, value in components.items():
        place = f"{path}.{key}" if path else ""
        found = _COMPONENT.fullmatch(key)
        table = _COMPONENTS.get(found[1]) if found is not None else None
        if key == "ts" and path:
            common.append(Leaf(place, value, TIMESTAMP))
        elif found is None or table is None or not isinstance(value, dict):
            common += untaken(value, place)
        elif found[1] == "wifi":
            common += table_leaves(value, table, place)
        else:
            number = found[2] or "0"
            parts.setdefault("" if number == "0" else number, []).extend(_component(value, table, place))
    samples = [Sample(leaves, part=part) for part, leaves in parts.items() if any(leaf.field for leaf in leaves)]
    common += [leaf for leaves in parts.values() if not any(leaf.field for leaf in leaves) for leaf in leaves]
    return Parsed(samples, common)


def _component(value: Mapping[str, Any], table: Table, place: str) -> list[Leaf]:
    """Return the leaves of one component: °F where it has no °C, and no battery where it runs on external power alone."""
    if "tF" in value and value.get("tC") is None and "tC" in table:
        table = {"tF": ("temperature", "°F"), "tC": "temperature"}
    leaves = table_leaves(value, table, place)
    external = value.get("external")
    if isinstance(external, dict) and external.get("present") is True and _is_flat(value.get("battery")):
        return [leaf._replace(field=None, unit=None, reason=_NO_BATTERY) if leaf.field else leaf for leaf in leaves]
    return [leaf._replace(reason=_SAME) if leaf.path.endswith("tF") and leaf.field is None else leaf for leaf in leaves]


def _is_flat(battery: object) -> bool:
    return not isinstance(battery, dict) or not battery.get("percent")


def _is_status(levels: list[str]) -> bool:
    component = _COMPONENT.fullmatch(levels[-1])
    if len(levels) < 3 or levels[-2] != "status" or component is None:
        return False
    return component[2] is not None or component[1] in _SYSTEM


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if not isinstance(body, dict):
        return False
    method = body.get("method")
    if isinstance(method, str) and method.startswith("Notify"):
        return isinstance(body.get("params"), dict) and isinstance(body.get("src"), str)
    return _is_status(payload.topic.split("/"))


SPEC = FormatSpec("shelly", "{deviceId}/events/rpc", (), shelly_format, recognizes)
