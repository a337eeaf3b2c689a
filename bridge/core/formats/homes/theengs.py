"""OpenMQTTGateway and Theengs Gateway: one object per Bluetooth advertisement.

Source: Theengs Decoder documentation, "Adding decoders" (its list of properties). On `home/<gateway>/BTtoMQTT/<mac>`:

    {"id": "A4:C1:38:12:34:56", "name": "ATC_123456", "rssi": -64, "brand": "Xiaomi", "model": "LYWSD03MMC", "type": "THB",
     "tempc": 21.6, "tempf": 70.88, "hum": 45, "batt": 78, "volt": 2.93}

`tempf` is `tempc` again; `tempc2` and so on are further probes, which are parts. The device is the address without colons, as
in the topic. A beacon that only tells that it is near is no reading.
"""

import re
from collections.abc import Mapping
from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import DEVICE_ID, UNKNOWN, Leaf

_FIELDS: Mapping[str, tuple[str, str | None]] = {
    "tempc": ("temperature", "°C"),
    "tempf": ("temperature", "°F"),
    "hum": ("humidity", "%"),
    "pres": ("pressure", "hPa"),
    "lux": ("illuminance", "lx"),
    "co2": ("co2", "ppm"),
    "pm25": ("pm25", "µg/m³"),
    "pm10": ("pm10", "µg/m³"),
    "for": ("hcho", "mg/m³"),
    "formaldehyde": ("hcho", "mg/m³"),
    "radon": ("radon", "Bq/m³"),
    "batt": ("battery", "%"),
    "volt": ("batteryVoltage", "V"),
    "rssi": ("rssi", "dBm"),
}
_STATES = {"battery", "batteryVoltage", "rssi"}  # of the device, not of the air
_PROBE = re.compile(r"(temp[cf]|hum)(\d{1,2})", re.ASCII)
_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}", re.ASCII | re.IGNORECASE)
_TYRES_AND_GRILLS = {"TIRE": "a tyre", "BBQ": "a grill"}
_SAME = "the same value as {}"


def theengs_format(payload: Payload) -> Parsed:
    if "BTtoMQTT" not in payload.topic and "toMQTT" in payload.topic.rpartition("/")[2]:
        raise NotReading("a state of the gateway")
    body = payload.object()
    other = _TYRES_AND_GRILLS.get(str(body.get("type")))
    if other is not None:
        raise NotReading(f"the temperature of {other}")
    parts: dict[str, list[Leaf]] = {}
    common: list[Leaf] = []
    for key, value in body.items():
        part, leaf = _leaf(key, value, body)
        if leaf.field is None or leaf.field == DEVICE_ID or isinstance(value, dict | list):
            common += untaken(value, key, leaf.reason) if leaf.field != DEVICE_ID else [leaf]
        else:
            parts.setdefault(part, []).append(leaf)
    if not any(leaf.field not in _STATES for leaves in parts.values() for leaf in leaves):
        raise NotReading("a beacon without measurements")
    return Parsed([Sample(leaves, part=part) for part, leaves in parts.items()], common)


def _leaf(key: str, value: object, body: Mapping[str, Any]) -> tuple[str, Leaf]:
    """Return the part of a key, and its leaf."""
    if key == "id" and isinstance(value, str):
        return "", Leaf(key, value.replace(":", ""), DEVICE_ID)
    probe = _PROBE.fullmatch(key)
    part, name = (probe[2], probe[1]) if probe else ("", key)
    twin = f"tempc{part}"
    if name == "tempf" and body.get(twin) is not None:
        return part, Leaf(key, value, None, None, _SAME.format(twin))
    field, unit = _FIELDS.get(name, (None, None))
    return part, Leaf(key, value, field, unit, UNKNOWN)


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        return False
    address = _ADDRESS.fullmatch(body["id"]) is not None
    return address and ("BTtoMQTT" in payload.topic or "tempc" in body or "model_id" in body)


SPEC = FormatSpec("theengs", "home/+/BTtoMQTT/{deviceId}", (), theengs_format, recognizes, signs=frozenset({"id"}))
