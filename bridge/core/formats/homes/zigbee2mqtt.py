"""Zigbee2MQTT: one object with its own names."""

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.json import read_json
from bridge.core.formats.leaves import untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import TIMESTAMP, Leaf
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

_KEYS = frozenset({"linkquality", "last_seen"})
_NAMES = {"voc": "tvoc", "last_seen": TIMESTAMP, "formaldehyd": "hcho"}
_UNITS = {"voc": "µg/m³", "formaldehyd": "mg/m³"}
"""The units of most converters, where the device list of Zigbee2MQTT does not say."""

_UNIT_SETTINGS = {"temperature_unit", "temperature_unit_convert", "temperature_scale", "unit_system"}
_SETTING = "a setting of the device's display: Zigbee2MQTT sends °C"

_BESIDE = ("availability", "set", "get")
_ILLUMINANCE, _ILLUMINANCE_LUX = "illuminance", "illuminance_lux"  # before version 2 the first is no lux beside the second
_VOLTAGE = "voltage"  # of a battery, in mV


def zigbee2mqtt_format(payload: Payload) -> Parsed:
    """Read the keys by their sense; `voc` is TVOC in µg/m³ unless the device list says otherwise, `last_seen` the time, and
    `voltage` beside `battery` that of the battery in mV.

    A lamp, a switch or a remote control carries no measurement and is no reading. Nor are the topics `bridge/…` and those of
    availability and commands below a device, which `{deviceId...}` also matches.
    """
    device, _, last = payload.captures.get("deviceId", "").rpartition("/")
    if device and (last in _BESIDE or device.partition("/")[0] == "bridge"):
        raise NotReading("about the Zigbee2MQTT bridge itself" if last not in _BESIDE else f"{last} of a device")
    body = payload.object()
    settings = {key: body[key] for key in _UNIT_SETTINGS & body.keys()}
    parsed = read_json({key: value for key, value in body.items() if key not in settings})
    parsed.common += untaken(settings, reason=_SETTING) if settings else []
    for sample in parsed.samples:
        sample.leaves = [_own(leaf, body) for leaf in sample.leaves]
    parsed.common = [_own(leaf, body) for leaf in parsed.common]
    if not parsed.samples:
        if any(leaf.field in MEASUREMENTS_BY_NAME for leaf in parsed.common):
            return Parsed([Sample(parsed.common)])
        if "linkquality" in body or "state" in body:
            raise NotReading("a device without measurements")
    return parsed


def _own(leaf: Leaf, body: dict[str, object]) -> Leaf:
    if isinstance(leaf.value, bool) and leaf.field is not None and leaf.field != "flameDetected":
        return Leaf(leaf.path, leaf.value, None, None, "an alarm, not a value")
    if leaf.path == _ILLUMINANCE and _ILLUMINANCE_LUX in body:
        return Leaf(leaf.path, leaf.value, None, None, "a raw value, not in lux")
    if leaf.path == _ILLUMINANCE_LUX:
        return leaf._replace(field="illuminance", unit="lx")
    if leaf.path in _NAMES:
        unit = _UNITS.get(leaf.path)
        return leaf._replace(field=_NAMES[leaf.path], unit=unit, is_assumed=unit is not None)
    if leaf.path == _VOLTAGE and "battery" in body:
        return leaf._replace(field="batteryVoltage", unit="mV")
    return leaf


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    return isinstance(body, dict) and bool(_KEYS & body.keys())


SPEC = FormatSpec(
    "zigbee2mqtt",
    "zigbee2mqtt/{deviceId}",
    ("deviceId",),
    zigbee2mqtt_format,
    recognizes,
    signs=_KEYS,
    ignore=("{deviceId...}/availability", "{deviceId...}/set", "{deviceId...}/get", "bridge/#"),
)
