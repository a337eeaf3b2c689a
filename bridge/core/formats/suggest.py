"""Suggestions for a message of unknown format: the topic level of its device, and the paths of its fields.

They are for a person to review, and are never applied to incoming messages.
"""

from collections.abc import Iterator, Mapping

from bridge.core.errors import UnitError
from bridge.core.formats.field_names import Sense, sense
from bridge.core.formats.mapping import PATH_LENGTH, FieldPath
from bridge.core.formats.registry import FormatName
from bridge.core.readings.identity import is_device_id
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, parse_number
from bridge.core.readings.units import conversion, unit_name
from bridge.core.timestamp import parse_time

_GENERIC_LEVELS = {
    "attributes", "data", "device", "devices", "event", "events", "info", "json", "measurements", "reading", "readings",
    "sensor", "sensors", "state", "status", "telemetry", "up", "uplink", "value", "values",
}  # fmt: skip
_ANY_TOPIC = {FormatName.AUTO, FormatName.JSON, FormatName.SCALAR, FormatName.MAPPING, FormatName.CBOR, FormatName.MSGPACK}
_NAMED_BY_TOPIC = {FormatName.ESPHOME, FormatName.HOMEASSISTANT, FormatName.HOMIE, FormatName.SPARKPLUG}
"""Families whose topics alone say what a value is."""
_NAMED_BY_PAYLOAD = {FormatName.RTL_433}
_MORE_PATTERNS: Mapping[FormatName, tuple[str, ...]] = {
    FormatName.ESPHOME: ("{deviceId}/binary_sensor/{object}/state",),
    FormatName.HOMIE: ("homie/5/{deviceId}/#",),
    FormatName.SHELLY: ("{deviceId}/status/+",),
    FormatName.THEENGS: ("BTtoMQTT/{deviceId}",),
    FormatName.THINGSBOARD: ("v1/gateway/telemetry",),
}
NEEDS_TOPIC = _NAMED_BY_TOPIC | {FormatName.SCALAR}
"""Formats that read no payload without its topic."""
_TIME_KEYS = {"timestamp", "time", "ts", "datetime", "date", "lastseen", "measuredat", "receivedat", "dateutc"}
_DEVICE_KEYS = {"deviceid", "sensorid", "devid", "deveui", "device", "mac", "node", "nodeid", "station", "name", "id"}
_UNIT_KEYS = ("unit", "units", "uom", "unit_of_measurement")
_SCALES = (0.1, 0.01, 0.001)
_ERROR_VALUES = {-127, -999, -9999, -32768, 999, 9999, 32767, 65535}
"""What sensors report when they fail: no scale makes a measurement of them."""
_LEAVES_LIMIT = 1000
_DEPTH_LIMIT = 16


def suggest_pattern(name: FormatName, topic: str, device_in_body: str | None = None) -> str | None:
    """Return the pattern by which the format would read `topic`, or None if the topic does not fit."""
    if name is FormatName.ESPHOME and fits_family(FormatName.HOMEASSISTANT, topic):
        return None
    levels = topic.split("/")
    if name is FormatName.ZIGBEE2MQTT and levels[0] == "zigbee2mqtt" and len(levels) > 2:
        return "zigbee2mqtt/{deviceId...}"  # a friendly name with slashes
    known = next((pattern for usual in usual_patterns(name) if (pattern := _aligned(usual, levels)) is not None), None)
    if known is not None and name not in _ANY_TOPIC:
        return known
    captures = _captured_levels(name, levels, device_in_body)
    if captures is None:
        return None
    return "/".join(f"{{{captures[n]}}}" if n in captures else level for n, level in enumerate(levels))


def usual_patterns(name: FormatName) -> tuple[str, ...]:
    """Return the patterns of a family's topics, the usual one last."""
    return (*_MORE_PATTERNS.get(name, ()), name.spec.usual_pattern)


def fits_family(name: FormatName, topic: str) -> bool:
    """Whether a topic is one of those that a family has, and no other family."""
    return name not in _ANY_TOPIC and any(_aligned(usual, topic.split("/")) is not None for usual in usual_patterns(name))


def _aligned(usual: str, levels: list[str]) -> str | None:
    """Return the pattern of a topic that ends as `usual` does, whatever stands before it; None if it does not.

    A pattern that ends in `#` must match the whole topic.
    """
    pattern = usual.split("/")
    if pattern[-1] == "#":
        return usual if len(levels) >= len(pattern) - 1 and _match(pattern[:-1], levels) else None
    before, own = levels[: -len(pattern)], levels[-len(pattern) :]
    if len(own) < len(pattern) or not _match(pattern, own):
        return None
    return "/".join([*before, *pattern])


def _match(pattern: list[str], levels: list[str]) -> bool:
    return all(wanted in ("+", level) or wanted.startswith("{") for wanted, level in zip(pattern, levels, strict=False))


def _captured_levels(name: FormatName, levels: list[str], device_in_body: str | None) -> dict[int, str] | None:
    if name is FormatName.SCALAR:
        field = next((n for n in reversed(range(len(levels))) if sense(levels[n]) is not None), None)
        device = _device_level(levels, exclude=field)
        return None if field is None or device is None else {device: "deviceId", field: "field"}
    if name is FormatName.ZIGBEE2MQTT:
        return {len(levels) - 1: "deviceId"}
    if name in _NAMED_BY_TOPIC:
        return None
    if name in _NAMED_BY_PAYLOAD:
        return {}
    if device_in_body is not None:
        return {levels.index(device_in_body): "deviceId"} if device_in_body in levels else {}
    device = _device_level(levels)
    return {} if device is None else {device: "deviceId"}


def is_generic_level(level: str) -> bool:
    """Whether a level of a topic names no device, such as `data` or `state`."""
    return level.lower() in _GENERIC_LEVELS


def _device_level(levels: list[str], exclude: int | None = None) -> int | None:
    """Return the last level that is not generic, but never the first, which is the site or the application."""
    usable = (n for n in reversed(range(1, len(levels))) if n != exclude and not is_generic_level(levels[n]))
    return next(usable, None)


def suggest_fields(body: object) -> dict[str, FieldPath]:
    """Return paths for the leaves of `body` whose names have the sense of a field; the first wins."""
    fields: dict[str, FieldPath] = {}
    for steps, value in leaves(body):
        found = _field_of(steps, value, _stated_unit(body, steps))
        text = _path_text(steps)
        if found is not None and found.field not in fields and len(text) <= PATH_LENGTH:
            scale = 1.0 if found.unit is not None else _scale(found.field, value)
            fields[found.field] = FieldPath(text, steps, scale, unit=found.unit)
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


def _field_of(steps: tuple[str, ...], value: object, stated: str | None) -> Sense | None:
    """Return the field of a leaf, and its unit if that is not the field's own."""
    keys = [step for step in steps if not step.isdigit()]
    key = keys[-1] if keys else ""
    found = sense(key) or (sense(f"{keys[-2]}_{key}") if len(keys) > 1 else None)
    if found is not None:
        return _measured(found, value, stated or found.unit)
    bare = "".join(character for character in key.lower() if character.isalnum())
    if bare in _TIME_KEYS and parse_time(value) is not None:
        return Sense("timestamp", None, "")
    return Sense("deviceId", None, "") if bare in _DEVICE_KEYS and is_device_id(value) else None


def _measured(found: Sense, value: object, unit: str | None) -> Sense | None:
    if MEASUREMENTS_BY_NAME[found.field].accept(value)[0] is None and parse_number(value) is None:
        return None
    if unit is None:
        return found
    try:
        converted = conversion(found.field, unit)
    except UnitError:
        return None
    is_own = (converted.field, converted.scale, converted.offset) == (found.field, 1, 0)
    return Sense(converted.field, None if is_own else unit, found.prefix)


def _stated_unit(body: object, steps: tuple[str, ...]) -> str | None:
    """Return the unit that stands beside the value at `steps`, if it is known."""
    beside = FieldPath("", steps[:-1]).find(body)
    if not isinstance(beside, dict):
        return None
    units = (beside.get(key) for key in _UNIT_KEYS)
    return next((unit for unit in units if isinstance(unit, str) and unit_name(unit) is not None), None)


def _scale(name: str, value: object) -> float:
    """Return 1, or the first scale that turns a refused number into a usual one: 215 into 21.5 °C, Pa into hPa."""
    number = parse_number(value)
    if name not in MEASUREMENTS_BY_NAME or number is None or number in _ERROR_VALUES:
        return 1
    if MEASUREMENTS_BY_NAME[name].accept(number)[0] is not None:
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
    if not path.converts and path.unit is None:
        return _toml(path.text)
    scale = f", scale = {path.scale:g}" if path.converts else ""
    offset = f", offset = {path.offset:g}" if path.offset else ""
    unit = "" if path.unit is None else f", unit = {_toml(path.unit)}"
    return f"{{ path = {_toml(path.text)}{scale}{offset}{unit} }}"


def _toml(text: str) -> str:
    """Return a TOML string; a literal one if backslashes would have to be doubled."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(_toml_character(character) for character in text) + '"'


def _toml_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"
