"""Telegraf's JSON: one metric, or a batch of them.

Source: Telegraf documentation, "JSON serializer".

    {"name": "air", "tags": {"host": "gateway", "device": "kitchen"}, "fields": {"temperature": 21.5}, "timestamp": 1795860000}
    {"metrics": [{"name": …}, {"name": …}]}

The time is in seconds, milliseconds, microseconds or nanoseconds, as `json_timestamp_units` says. `metric.py` has the meaning
of tags and fields.
"""

from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.encodings.merging import merge_samples
from bridge.core.formats.encodings.metric import Metric, is_of_computer, read_metric
from bridge.core.formats.format import FormatSpec, Parsed
from bridge.core.formats.leaves import LEAVES_LIMIT, untaken
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError

_METRICS = "metrics"
_KEYS = ("name", "tags", "fields", "timestamp")
_TOO_MANY = f"beyond the {LEAVES_LIMIT} metrics of a message"


def telegraf_format(payload: Payload) -> Parsed:
    body = payload.object()
    items = body.get(_METRICS)
    if not isinstance(items, list):
        return _metric(body, "", payload)
    parsed = Parsed([], untaken({key: value for key, value in body.items() if key != _METRICS}) if len(body) > 1 else [])
    for index, item in enumerate(items):
        at = f"{_METRICS}.{index}"
        if index >= LEAVES_LIMIT or not _is_metric(item):
            parsed.common += untaken(item, at, _TOO_MANY if index >= LEAVES_LIMIT else "not a metric")
        else:
            one = _metric(item, f"{at}.", payload)
            parsed.samples += one.samples
            parsed.common += one.common
    if not parsed.samples and items and all(_is_metric(item) and is_of_computer(item["name"]) for item in items):
        raise NotReading("metrics of the computer itself")
    parsed.samples = merge_samples(parsed.samples)
    return parsed


def _metric(item: dict[str, Any], at: str, payload: Payload) -> Parsed:
    if not _is_metric(item):
        raise PayloadError(
            RejectionReason.NOT_OBJECT, "not a metric: allowed are objects with a text `name` and an object `fields`"
        )
    tags = item.get("tags")
    parsed = read_metric(
        Metric(item["name"], tags if isinstance(tags, dict) else {}, item["fields"], item.get("timestamp"), at), payload
    )
    others = {key: value for key, value in item.items() if key not in _KEYS or (key == "tags" and not isinstance(value, dict))}
    leaves = parsed.samples[0].leaves if parsed.samples else parsed.common
    leaves += [leaf for key, value in others.items() for leaf in untaken(value, at + key)]
    if not parsed.samples and not at and is_of_computer(item["name"]):
        raise NotReading("metrics of the computer itself")
    return parsed


def _is_metric(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("fields"), dict)


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if isinstance(body, dict) and isinstance(body.get(_METRICS), list) and body[_METRICS]:
        body = body[_METRICS][0]
    return _is_metric(body) and "timestamp" in body and isinstance(body.get("tags", {}), dict)


SPEC = FormatSpec("telegraf", "telegraf/{deviceId}/+", (), telegraf_format, recognizes, signs=frozenset({_METRICS, "fields"}))
