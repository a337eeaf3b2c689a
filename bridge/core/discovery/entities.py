"""What a Home Assistant discovery message announces: sensors, each with its state topic, template, field, unit and device.

Shapes, by the documentation of Home Assistant's MQTT integration: `homeassistant/sensor/[node/]object/config` with one sensor,
`homeassistant/device/[node/]object/config` with all sensors of a device as `components`. Keys may be abbreviated; `~` is
replaced by the base topic.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bridge.core.access.texts import cleaned
from bridge.core.discovery.templates import ValueTemplate
from bridge.core.errors import DeviceIdError, FormatError, UnitError
from bridge.core.formats.field_names import names_other_quantity, sense
from bridge.core.payload import PAYLOAD_LIMIT_BYTES, PayloadError, parse_json, quote
from bridge.core.readings.identity import parse_device_id
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag
from bridge.core.readings.units import conversion

COMPONENTS_LIMIT = 200
"""Sensors of one message."""

_TOPIC_LENGTH = 256
_NAME_LENGTH = 128
_KINDS = ("sensor", "binary_sensor")
_NAMES: Mapping[str, str] = {
    "stat_t": "state_topic", "val_tpl": "value_template", "unit_of_meas": "unit_of_measurement", "dev_cla": "device_class",
    "dev": "device", "uniq_id": "unique_id", "obj_id": "object_id", "ent_cat": "entity_category", "pl_on": "payload_on",
    "pl_off": "payload_off", "cmps": "components", "p": "platform", "ids": "identifiers", "mdl": "model", "mf": "manufacturer",
    "sa": "suggested_area", "cns": "connections",
}  # fmt: skip
"""The abbreviations of the keys that are read."""

_CLASSES: Mapping[str, tuple[str, str | None]] = {
    "temperature": ("temperature", "°C"),
    "humidity": ("humidity", "%"),
    "carbon_dioxide": ("co2", "ppm"),
    "carbon_monoxide": ("coPpm", "ppm"),
    "pm1": ("pm1", "µg/m³"),
    "pm25": ("pm25", "µg/m³"),
    "pm4": ("pm4", "µg/m³"),
    "pm10": ("pm10", "µg/m³"),
    "volatile_organic_compounds": ("tvoc", "µg/m³"),
    "volatile_organic_compounds_parts": ("tvoc", "ppb"),
    "nitrogen_dioxide": ("no2", "µg/m³"),
    "ozone": ("o3", "µg/m³"),
    "sulphur_dioxide": ("so2", "µg/m³"),
    "aqi": ("aqi", None),
    "battery": ("battery", "%"),
    "atmospheric_pressure": ("pressure", "hPa"),
    "pressure": ("pressure", "hPa"),
    "illuminance": ("illuminance", "lx"),
    "sound_pressure": ("noise", "dB"),
    "signal_strength": ("rssi", "dBm"),
}
"""Field and unit by device class; the unit is the class's own, for a sensor that states none."""

_BATTERY_CLASSES = ("battery", "voltage")
_CHIP_CATEGORIES = ("diagnostic", "config")
_OF_CHIP = ("temperature", "humidity", "pressure")  # as a diagnostic value: of the device's own electronics
_MORE_EXACT = {("co2", "eco2"), ("tvoc", "vocIndex")}  # what a class calls by a wider name


@dataclass(frozen=True, slots=True)
class Announced:
    """A device as it describes itself; empty texts are unknown."""

    id: str
    name: str = ""
    model: str = ""
    area: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """One sensor. `key` identifies it; `name` is its key in records and its part of the device.

    `field` None: its values are kept in `extra`, for `reason`. `on` and `off` are the states of a binary sensor.
    """

    key: str
    state_topic: str
    name: str
    device: Announced
    template: str = ""
    field: str | None = None
    unit: str | None = None
    reason: str = ""
    on: str = ""
    off: str = ""

    def to_document(self) -> dict[str, Any]:
        return asdict(self)


def entity_from_document(document: Mapping[str, Any]) -> Entity:
    """Inverse of `Entity.to_document`."""
    return Entity(**{**document, "device": Announced(**document["device"])})


def parse_config(topic: str, payload: bytes, prefix: str) -> list[Entity]:
    """Return the sensors that a message announces, none for other components or an empty payload.

    Raises `FormatError` with what is wrong in the message.
    """
    levels = topic.removeprefix(f"{prefix}/").split("/")
    if not payload or levels[-1] != "config" or levels[0] not in (*_KINDS, "device") or not 3 <= len(levels) <= 4:
        return []
    config = _config(payload)
    object_id = levels[-2]
    if levels[0] != "device":
        return [_entity(topic, levels[0], object_id, config, _device(config, object_id))]
    return list(_components(topic, object_id, config))


def _components(topic: str, object_id: str, config: Mapping[str, Any]) -> Iterator[Entity]:
    components = config.get("components")
    if not isinstance(components, dict):
        raise FormatError("it has no object `components`")
    if len(components) > COMPONENTS_LIMIT:
        raise FormatError(f"it has {len(components)} components, more than the {COMPONENTS_LIMIT} allowed")
    device = _device(config, object_id)
    shared = {key: value for key, value in config.items() if key != "components"}
    for name, component in components.items():
        expanded = _expanded(component) if isinstance(component, dict) else {}
        if expanded.get("platform") in _KINDS and len(expanded) > 1:  # the platform alone removes a component
            yield _entity(f"{topic}#{name[:_NAME_LENGTH]}", expanded["platform"], name, shared | expanded, device)


def _config(payload: bytes) -> dict[str, Any]:
    if len(payload) > PAYLOAD_LIMIT_BYTES:
        raise FormatError(f"it has {len(payload)} bytes, more than the {PAYLOAD_LIMIT_BYTES} allowed")
    try:
        body = parse_json(payload)
    except PayloadError as error:
        raise FormatError(str(error)) from None
    if not isinstance(body, dict):
        raise FormatError("it is not a JSON object")
    return _expanded(body)


def _expanded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with full names, and `~` replaced."""
    expanded = {_NAMES.get(key, key): value for key, value in config.items()}
    base = expanded.get("~")
    topic = expanded.get("state_topic")
    if isinstance(base, str) and isinstance(topic, str):
        if topic.startswith("~"):
            expanded["state_topic"] = base + topic[1:]
        elif topic.endswith("~"):
            expanded["state_topic"] = topic[:-1] + base
    return expanded


def _entity(key: str, kind: str, object_id: str, config: Mapping[str, Any], device: Announced) -> Entity:
    topic = config.get("state_topic")
    if not isinstance(topic, str) or not 0 < len(topic) <= _TOPIC_LENGTH or any(mark in topic for mark in "+#{}\0"):
        raise FormatError(f"state_topic is {quote(topic)}: allowed are 1 to {_TOPIC_LENGTH} characters without + # {{ }}")
    template = config.get("value_template") or ""
    if not isinstance(template, str):
        raise FormatError(f"value_template is {quote(template)}, not a text")
    ValueTemplate(template)
    name = _text(config.get("object_id")) or _text(object_id) or "sensor"
    label = _label(config, device) or name
    field, unit, reason = _field(kind, label, config)
    states = [str(config.get(option, usual))[:_NAME_LENGTH] for option, usual in (("payload_on", "ON"), ("payload_off", "OFF"))]
    on, off = states if kind == "binary_sensor" else ("", "")
    return Entity(key, topic, name, device, template, field, unit, reason, on, off)


def _label(config: Mapping[str, Any], device: Announced) -> str:
    """Return the sensor's own name, without that of its device."""
    name = _text(config.get("name"))
    return name.removeprefix(device.name).strip() if device.name else name


def _text(value: object) -> str:
    return value[:_NAME_LENGTH] if isinstance(value, str) and value.isprintable() else ""


def _cleaned(value: object) -> str:
    return cleaned(value)[:_NAME_LENGTH] if isinstance(value, str) else ""


def _device(config: Mapping[str, Any], object_id: str) -> Announced:
    """Return the device by its first usable identifier. A sensor without a device is a device."""
    described = config.get("device")
    device = _expanded(described) if isinstance(described, dict) else {}
    own = _text(config.get("unique_id")) or object_id
    for identifier in (*_identifiers(device), own, own.replace("/", "_")):
        try:
            device_id = parse_device_id(identifier)
        except DeviceIdError:
            continue
        names = {key: _cleaned(device.get(key)) for key in ("name", "manufacturer", "model", "suggested_area")}
        model = " ".join(filter(None, (names["manufacturer"], names["model"])))
        return Announced(device_id, names["name"], model[:_NAME_LENGTH], names["suggested_area"])
    raise FormatError(f"no identifier of its device can be a device id: {quote(own)}")


def _identifiers(device: Mapping[str, Any]) -> Iterator[str]:
    identifiers = device.get("identifiers")
    if isinstance(identifiers, str):
        yield identifiers
    elif isinstance(identifiers, list):
        yield from (one for one in identifiers if isinstance(one, str))
    connections = device.get("connections")
    for pair in connections if isinstance(connections, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str):
            yield pair[1]


def _field(kind: str, label: str, config: Mapping[str, Any]) -> tuple[str | None, str | None, str]:
    """Return field and unit of a sensor; or None, None and why it has no field."""
    device_class, unit = config.get("device_class"), config.get("unit_of_measurement")
    device_class = device_class if isinstance(device_class, str) else ""
    unit = unit if isinstance(unit, str) and unit.strip() else None
    found = sense(label, any_prefix=True)
    if kind == "binary_sensor":
        if found is not None and isinstance(MEASUREMENTS_BY_NAME[found.field], Flag):
            return found.field, None, ""
        return None, None, f"no field for a yes or no{f' of class {device_class[:32]}' if device_class else ''}"
    if device_class == "voltage" and "batt" in label.lower():
        return _checked("batteryVoltage", unit or "V")
    if names_other_quantity(label) and device_class not in _BATTERY_CLASSES:
        return None, None, "another quantity by its name"
    if device_class in _CLASSES:
        field, usual = _CLASSES[device_class]
        if found is not None and (field, found.field) in _MORE_EXACT:
            field, usual = found.field, None
        if config.get("entity_category") in _CHIP_CATEGORIES and field in _OF_CHIP:
            return None, None, "of the device's own electronics"
        return _checked(field, unit or usual)
    if device_class or found is None:
        return None, None, f"no field for class {device_class[:32]}" if device_class else "unknown key"
    if unit is None and found.unit is None and MEASUREMENTS_BY_NAME[found.field].unit:
        return None, None, "it states no unit"
    return _checked(found.field, unit or found.unit)


def _checked(field: str, unit: str | None) -> tuple[str | None, str | None, str]:
    if unit is not None:
        try:
            conversion(field, unit)
        except UnitError as error:
            return None, None, str(error)
    return field, unit, ""
