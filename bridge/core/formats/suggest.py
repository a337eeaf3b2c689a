"""Guesses about a message of a shape nobody described: where its topic names the device, and which paths hold what.

They are proposals for a person to look at, and never used on messages that come in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.core.formats.field_names import match_field
from bridge.core.formats.mapping import PATH_LENGTH, FieldPath
from bridge.core.formats.registry import USUAL_PATTERNS, FormatName
from bridge.core.readings.fields import field_name
from bridge.core.readings.identity import is_device_id
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, parse_number
from bridge.core.timestamp import parse_time

_GENERIC_LEVELS = {
    "attributes", "data", "device", "devices", "event", "events", "info", "json", "measurements", "reading", "readings",
    "sensor", "sensors", "state", "status", "telemetry", "up", "uplink", "value", "values",
}  # fmt: skip
_ESPHOME_LEVELS = USUAL_PATTERNS[FormatName.ESPHOME].split("/")
_TIME_KEYS = {"timestamp", "time", "ts", "datetime", "date", "lastseen", "measuredat", "receivedat", "dateutc"}
_DEVICE_KEYS = {"deviceid", "sensorid", "devid", "deveui", "device", "mac", "node", "nodeid", "station", "name", "id"}
_VAGUE_KEYS = {"value", "val", "v", "state", "reading", "raw"}
_SCALES = (0.1, 0.01, 0.001)
_LEAVES_LIMIT = 1000
_DEPTH_LIMIT = 16


def suggest_pattern(name: FormatName, topic: str, device_in_body: str | None = None) -> str | None:
    """The pattern by which a format would read `topic`; None when it could not."""
    levels = topic.split("/")
    named = _named_levels(name, levels, device_in_body)
    if named is None:
        return None
    return "/".join(f"{{{named[n]}}}" if n in named else level for n, level in enumerate(levels))


def _named_levels(name: FormatName, levels: list[str], device_in_body: str | None) -> dict[int, str] | None:
    if name is FormatName.ESPHOME:
        fits = len(levels) >= len(_ESPHOME_LEVELS) and levels[-1] == "state" and levels[-3] in ("sensor", "binary_sensor")
        return {len(levels) - 4: "deviceId", len(levels) - 2: "object"} if fits else None
    if name is FormatName.SCALAR:
        field = next((n for n in reversed(range(len(levels))) if field_name(levels[n]) in MEASUREMENTS_BY_NAME), None)
        device = _device_level(levels, but=field)
        return None if field is None or device is None else {device: "deviceId", field: "field"}
    if name is FormatName.ZIGBEE2MQTT:
        return {len(levels) - 1: "deviceId"}
    if device_in_body is not None:
        return {levels.index(device_in_body): "deviceId"} if device_in_body in levels else {}
    device = _device_level(levels)
    return {} if device is None else {device: "deviceId"}


def _device_level(levels: list[str], but: int | None = None) -> int | None:
    """The last level that says something, but never the first: that one is the house or the application."""
    usable = (n for n in reversed(range(1, len(levels))) if n != but and levels[n].lower() not in _GENERIC_LEVELS)
    return next(usable, None)


def suggest_fields(body: object) -> dict[str, FieldPath]:
    """Paths for the names we know among the leaves of `body`; of two for one field the first is taken."""
    fields: dict[str, FieldPath] = {}
    for steps, value in leaves(body):
        name = _meaning(steps, value)
        written = _written(steps)
        if name is not None and name not in fields and len(written) <= PATH_LENGTH:
            fields[name] = FieldPath(written, steps, _scale(name, value))
    return fields


def leaves(body: object, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """The values that are no object and no list, with their steps; not deeper and not more than anyone would read."""
    children: Iterator[tuple[str, object]] = iter(())
    if isinstance(body, dict):
        children = ((str(key), value) for key, value in list(body.items())[:_LEAVES_LIMIT])
    elif isinstance(body, list):
        children = ((str(index), value) for index, value in enumerate(body[:_LEAVES_LIMIT]))
    elif above:
        yield above, body
    for step, value in children if len(above) < _DEPTH_LIMIT else ():
        if step and step.isprintable():
            yield from leaves(value, (*above, step))


def _meaning(steps: tuple[str, ...], value: object) -> str | None:
    keys = [step for step in steps if not step.isdigit()]
    key = keys[-1] if keys else ""
    if key.lower() in _VAGUE_KEYS and len(keys) > 1:
        key = keys[-2]
    found = match_field(key)
    if found is not None:
        return found if MEASUREMENTS_BY_NAME[found].accept(value)[0] is not None or parse_number(value) is not None else None
    bare = "".join(mark for mark in key.lower() if mark.isalnum())
    if bare in _TIME_KEYS and parse_time(value) is not None:
        return "timestamp"
    return "deviceId" if bare in _DEVICE_KEYS and is_device_id(value) else None


def _scale(name: str, value: object) -> float:
    """1, or the first that makes a refused number a usual one, such as 215 for 21.5 °C, or Pa for hPa."""
    measured = parse_number(value)
    if name not in MEASUREMENTS_BY_NAME or measured is None or MEASUREMENTS_BY_NAME[name].accept(measured)[0] is not None:
        return 1
    low, high = MEASUREMENTS_BY_NAME[name].usual
    return next((scale for scale in _SCALES if low <= measured * scale <= high), 1)


def _written(steps: tuple[str, ...]) -> str:
    return ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in steps)


def subscription_toml(pattern: str, name: FormatName, fields: Mapping[str, FieldPath]) -> str:
    """One subscription, as it stands in the list of `config/bridge.toml`."""
    paths = ", ".join(f"{field} = {_field_setting(path)}" for field, path in fields.items())
    return f"{{ pattern = {_toml(pattern)}, format = {_toml(name)}" + (f", fields = {{ {paths} }} }}" if paths else " }")


def _field_setting(path: FieldPath) -> str:
    if not path.converts:
        return _toml(path.text)
    offset = f", offset = {path.offset:g}" if path.offset else ""
    return f"{{ path = {_toml(path.text)}, scale = {path.scale:g}{offset} }}"


def _toml(text: str) -> str:
    """A TOML string; a literal one where backslashes would have to be doubled."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(_toml_character(mark) for mark in text) + '"'


def _toml_character(mark: str) -> str:
    if mark in '"\\':
        return f"\\{mark}"
    return mark if mark.isprintable() else f"\\U{ord(mark):08X}"
