"""rtl_433: one object per radio telegram, the telegrams of all devices on one topic.

Source: rtl_433's documentation, "Data format" (its list of keys with their units). On `rtl_433/<host>/events`:

    {"time": "2026-11-28 10:00:00", "model": "Acurite-Tower", "id": 11524, "channel": "A", "battery_ok": 1,
     "temperature_C": 22.1, "humidity": 41, "mic": "CHECKSUM"}

The device is its model, id and channel: `Acurite-Tower-11524-A`. Below a topic with a level {deviceId}, the receiver, each
device is a part of it. Numbered values are those of further probes, which are parts: `temperature_2_C`. `battery_ok` is no
percentage. `rssi`, `snr` and `noise` are levels within the receiver, not in dBm.
"""

import re
from collections.abc import Mapping

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import TIMESTAMP, UNIT, UNKNOWN, Leaf

_FIELDS: Mapping[str, tuple[str, str]] = {
    "temperature_C": ("temperature", "°C"),
    "temperature_F": ("temperature", "°F"),
    "humidity": ("humidity", "%"),
    "pressure_hPa": ("pressure", "hPa"),
    "pressure_kPa": ("pressure", "kPa"),
    "co2_ppm": ("co2", "ppm"),
    "hcho_ppb": ("hcho", "ppb"),
    "pm1_ug_m3": ("pm1", "µg/m³"),
    "pm2_5_ug_m3": ("pm25", "µg/m³"),
    "pm4_ug_m3": ("pm4", "µg/m³"),
    "pm10_ug_m3": ("pm10", "µg/m³"),
    "pm10_0_ug_m3": ("pm10", "µg/m³"),
    "light_lux": ("illuminance", "lx"),
    "battery_V": ("batteryVoltage", "V"),
    "battery_mV": ("batteryVoltage", "mV"),
}
_NUMBERED = re.compile(r"(temperature|humidity|pressure)_(\d{1,2})(_[A-Za-z]+)?", re.ASCII)
_REASONS = {
    "battery_ok": "0 or 1, no percentage",
    "rssi": "a level within the receiver, not in dBm",
    "snr": "a level within the receiver",
    "noise": "a level within the receiver, not that of a sound",
}
_IDENTITY = ("model", "id", "channel")
_SIGNS = {*_FIELDS, *_REASONS, "mic", "mod", "freq", "subtype", "battery_ok"} - {"humidity", "noise", "rssi"}


def rtl_433_format(payload: Payload) -> Parsed:
    body = payload.object()
    if body.get("type") == "TPMS":
        raise NotReading("the pressure and temperature of a tyre")
    parts: dict[str, list[Leaf]] = {}
    common: list[Leaf] = []
    for key, value in body.items():
        found = _measured(key)
        if key == "time":
            common.append(Leaf(key, value, TIMESTAMP))
        elif key in _IDENTITY and isinstance(value, str | int):
            common.append(Leaf(key, value, UNIT))
        elif found is None or isinstance(value, dict | list):
            common += untaken(value, key, _REASONS.get(key, UNKNOWN))
        else:
            part, field, unit = found
            parts.setdefault(part, []).append(Leaf(key, value, field, unit))
    if not parts:
        raise NotReading("a telegram without measurements")
    identity = "-".join(str(body[key]) for key in _IDENTITY if isinstance(body.get(key), str | int))
    if payload.captures.get("deviceId", identity) == identity:
        return Parsed([Sample(leaves, identity, part) for part, leaves in parts.items()], common)
    return Parsed([Sample(leaves, part=f"{identity}.{part}".strip(".")) for part, leaves in parts.items()], common)


def _measured(key: str) -> tuple[str, str, str] | None:
    """Return part, field and unit of a key; None if it is no measurement."""
    numbered = _NUMBERED.fullmatch(key)
    if key not in _FIELDS and numbered is not None:
        found = _FIELDS.get(numbered[1] + (numbered[3] or ""))
        return None if found is None else (numbered[2], *found)
    found = _FIELDS.get(key)
    return None if found is None else ("", *found)


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    return (
        isinstance(body, dict)
        and isinstance(body.get("model"), str)
        and "time" in body
        and ("id" in body or "channel" in body)
        and not body.keys().isdisjoint(_SIGNS)
    )


SPEC = FormatSpec("rtl_433", "rtl_433/+/events", (), rtl_433_format, recognizes, signs=frozenset({"model"}))
