"""Awair: the local `/air-data/latest`, and the records of Awair's cloud (Awair, "Local API Feature", "Developer API").

    {"timestamp": "2026-11-28T10:00:00.000Z", "score": 88, "temp": 22.1, "humid": 45.2, "co2": 612, "voc": 220, "pm25": 4, …}
    {"data": [{"timestamp": …, "score": 88, "sensors": [{"comp": "temp", "value": 22.1}, …], "indices": […]}]}

`voc` is in ppb, `spl_a` in dB, `co2_est` is the equivalent that its VOC sensor computes. No message names its device.
"""

from typing import Any

from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import item_path, table_leaf, table_leaves, untaken
from bridge.core.formats.payload import OBJECTS_LIMIT, Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import TIMESTAMP, UNIT, UNKNOWN, Leaf

_VALUES: Table = {
    "temp": ("temperature", "°C"), "humid": "humidity", "co2": "co2", "co2_est": "eco2", "voc": ("tvoc", "ppb"), "pm25": "pm25",
    "pm10": "pm10", "lux": "illuminance", "spl_a": "noise",
}  # fmt: skip
_TABLE: Table = {"timestamp": TIMESTAMP, **_VALUES}
_REASONS = {"pm10_est": "estimated from PM2.5", "score": "Awair's own score"}


def awair_format(payload: Payload) -> Parsed:
    body = payload.object()
    records = body.get("data")
    if not isinstance(records, list):
        return Parsed([Sample(table_leaves(body, _TABLE, reasons=_REASONS))])
    if len(records) > OBJECTS_LIMIT:
        raise PayloadError(RejectionReason.TOO_LARGE, f"{len(records)} records, more than the {OBJECTS_LIMIT} allowed")
    samples = [Sample(_record(record, f"data.{index}")) for index, record in enumerate(records)]
    return Parsed(samples, untaken({key: value for key, value in body.items() if key != "data"}) if len(body) > 1 else [])


def _record(record: object, path: str) -> list[Leaf]:
    if not isinstance(record, dict):
        return untaken(record, path)
    leaves = table_leaves(record, _TABLE, path, ("sensors",), _REASONS)
    sensors = record.get("sensors")
    if isinstance(sensors, list):
        for index, item in enumerate(sensors):
            name = item.get("comp") if isinstance(item, dict) else None
            leaves += _component(item, name, item_path(f"{path}.sensors", index, "comp", name))
    elif "sensors" in record:
        leaves += untaken(sensors, f"{path}.sensors")
    return leaves


def _component(item: Any, name: object, path: str) -> list[Leaf]:  # noqa: ANN401 - JSON
    """Return the leaves of `{"comp": "temp", "value": 22.1}`."""
    if not isinstance(name, str) or isinstance(item.get("value"), dict | list):
        return untaken(item, path)
    target = _VALUES.get(name)
    found = {"value": target, "comp": UNIT if target else None}
    reason = _REASONS.get(name, UNKNOWN)
    return [
        leaf
        for key, value in item.items()
        for leaf in (
            [table_leaf(f"{path}.{key}", value, found[key], reason)] if key in found else untaken(value, f"{path}.{key}")
        )
    ]


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if not isinstance(body, dict):
        return False
    records = body.get("data")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        return "score" in records[0] and "sensors" in records[0]
    return "humid" in body and bool({"score", "abs_humid", "dew_point"} & body.keys())


SPEC = FormatSpec("awair", "awair/{deviceId}", ("deviceId",), awair_format, recognizes, signs=frozenset({"data", "humid"}))
