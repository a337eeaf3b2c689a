"""Suggestions for a message of unknown format: the topic level of its device, and the paths of its fields.

They are for a person to review, and are never applied to incoming messages.
"""

from collections.abc import Iterator, Mapping

from bridge.core.formats.field_names import match_field
from bridge.core.formats.mapping import PATH_LENGTH, FieldPath
from bridge.core.formats.registry import FormatName
from bridge.core.readings.extraction import field_name
from bridge.core.readings.identity import is_device_id
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, parse_number
from bridge.core.timestamp import parse_time

_GENERIC_LEVELS = {
    "attributes", "data", "device", "devices", "event", "events", "info", "json", "measurements", "reading", "readings",
    "sensor", "sensors", "state", "status", "telemetry", "up", "uplink", "value", "values",
}  # fmt: skip
_ESPHOME_LEVELS = FormatName.ESPHOME.spec.usual_pattern.split("/")
_TIME_KEYS = {"timestamp", "time", "ts", "datetime", "date", "lastseen", "measuredat", "receivedat", "dateutc"}
_DEVICE_KEYS = {"deviceid", "sensorid", "devid", "deveui", "device", "mac", "node", "nodeid", "station", "name", "id"}
_VAGUE_KEYS = {"value", "val", "v", "state", "reading", "raw"}
_SCALES = (0.1, 0.01, 0.001)
_LEAVES_LIMIT = 1000
_DEPTH_LIMIT = 16


def suggest_pattern(name: FormatName, topic: str, device_in_body: str | None = None) -> str | None:
    """Return the pattern by which the format would read `topic`, or None if the topic does not fit."""
    levels = topic.split("/")
    if name is FormatName.ZIGBEE2MQTT and levels[0] == "zigbee2mqtt" and len(levels) > 2:
        return "zigbee2mqtt/{deviceId...}"  # a friendly name with slashes
    captures = _captured_levels(name, levels, device_in_body)
    if captures is None:
        return None
    return "/".join(f"{{{captures[n]}}}" if n in captures else level for n, level in enumerate(levels))


def _captured_levels(name: FormatName, levels: list[str], device_in_body: str | None) -> dict[int, str] | None:
    if name is FormatName.ESPHOME:
        fits = len(levels) >= len(_ESPHOME_LEVELS) and levels[-1] == "state" and levels[-3] in ("sensor", "binary_sensor")
        return {len(levels) - 4: "deviceId", len(levels) - 2: "object"} if fits else None
    if name is FormatName.SCALAR:
        field = next((n for n in reversed(range(len(levels))) if field_name(levels[n]) in MEASUREMENTS_BY_NAME), None)
        device = _device_level(levels, exclude=field)
        return None if field is None or device is None else {device: "deviceId", field: "field"}
    if name is FormatName.ZIGBEE2MQTT:
        return {len(levels) - 1: "deviceId"}
    if device_in_body is not None:
        return {levels.index(device_in_body): "deviceId"} if device_in_body in levels else {}
    device = _device_level(levels)
    return {} if device is None else {device: "deviceId"}


def _device_level(levels: list[str], exclude: int | None = None) -> int | None:
    """Return the last level that is not generic, but never the first, which is the site or the application."""
    usable = (n for n in reversed(range(1, len(levels))) if n != exclude and levels[n].lower() not in _GENERIC_LEVELS)
    return next(usable, None)


def suggest_fields(body: object) -> dict[str, FieldPath]:
    """Return paths for the leaves of `body` whose names match a field; the first wins."""
    fields: dict[str, FieldPath] = {}
    for steps, value in leaves(body):
        name = _field_of(steps, value)
        text = _path_text(steps)
        if name is not None and name not in fields and len(text) <= PATH_LENGTH:
            fields[name] = FieldPath(text, steps, _scale(name, value))
    return fields


def leaves(body: object, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the values that are neither object nor list, with their steps, within limits of depth and number."""
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


def _field_of(steps: tuple[str, ...], value: object) -> str | None:
    keys = [step for step in steps if not step.isdigit()]
    key = keys[-1] if keys else ""
    if key.lower() in _VAGUE_KEYS and len(keys) > 1:
        key = keys[-2]
    found = match_field(key)
    if found is not None:
        return found if MEASUREMENTS_BY_NAME[found].accept(value)[0] is not None or parse_number(value) is not None else None
    bare = "".join(character for character in key.lower() if character.isalnum())
    if bare in _TIME_KEYS and parse_time(value) is not None:
        return "timestamp"
    return "deviceId" if bare in _DEVICE_KEYS and is_device_id(value) else None


def _scale(name: str, value: object) -> float:
    """Return 1, or the first scale that turns a refused number into a usual one: 215 into 21.5 °C, Pa into hPa."""
    number = parse_number(value)
    if name not in MEASUREMENTS_BY_NAME or number is None or MEASUREMENTS_BY_NAME[name].accept(number)[0] is not None:
        return 1
    low, high = MEASUREMENTS_BY_NAME[name].usual
    return next((scale for scale in _SCALES if low <= number * scale <= high), 1)


def _path_text(steps: tuple[str, ...]) -> str:
    return ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in steps)


def subscription_toml(pattern: str, name: FormatName, fields: Mapping[str, FieldPath]) -> str:
    """Return one subscription in the form of the list in `config/bridge.toml`."""
    paths = ", ".join(f"{field} = {_field_setting(path)}" for field, path in fields.items())
    return f"{{ pattern = {_toml(pattern)}, format = {_toml(name)}" + (f", fields = {{ {paths} }} }}" if paths else " }")


def _field_setting(path: FieldPath) -> str:
    if not path.converts:
        return _toml(path.text)
    offset = f", offset = {path.offset:g}" if path.offset else ""
    return f"{{ path = {_toml(path.text)}, scale = {path.scale:g}{offset} }}"


def _toml(text: str) -> str:
    """Return a TOML string; a literal one if backslashes would have to be doubled."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(_toml_character(character) for character in text) + '"'


def _toml_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"
