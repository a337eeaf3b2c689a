"""Milesight: the object that its payload decoders give (Milesight, "SensorDecoders"), alone or inside the message of a LoRaWAN
network.

    {"battery": 92, "temperature": 24.6, "humidity": 53.5, "light_level": 2, "co2": 1040, "tvoc": 120, "hcho": 0.04, "o3": 0.02}

`hcho` is in mg/m³ and `o3` in ppm. `tvoc` is a rating of 0 to 5 or a concentration, by the model and its settings: in µg/m³
with the AM300 series, in ppb with the AM100 series.
"""

from collections.abc import Mapping
from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import gather, measures, table_leaves, untaken
from bridge.core.formats.payload import OBJECTS_LIMIT, Payload
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNIT, Leaf
from bridge.core.readings.measurements import parse_number

_TABLE: Table = {
    "devEUI": DEVICE_ID, "devEui": DEVICE_ID, "timestamp": TIMESTAMP, "battery": "battery", "temperature": "temperature",
    "humidity": "humidity", "co2": "co2", "pressure": "pressure", "barometric_pressure": "pressure", "pm2_5": "pm25",
    "pm10": "pm10", "hcho": ("hcho", "mg/m³"), "o3": ("o3", "ppm"), "nh3": ("nh3", "ppm"), "h2s": ("h2s", "ppm"),
    "illumination": "illuminance", "illuminance": "illuminance", "laeq": "noise",
}  # fmt: skip
_PROBES = {"temperature_chn1": "chn1", "temperature_chn2": "chn2"}
_FIRST = "chn1"
_DEVICE_KEYS = {
    "ipso_version", "hardware_version", "firmware_version", "tsl_version", "reset_event", "device_status", "power_status",
}  # fmt: skip
_AM300, _AM100 = {"light_level"}, {"activity", "illumination", "infrared"}
_SIGNS = frozenset({*_AM300, *_AM100, *_PROBES, "ipso_version", "tsl_version"})
_LARGEST_RATING = 5
_RATING = "a rating of 0 to 5, no concentration"
_NO_UNIT = "in µg/m³, in ppb or a rating, by the model: state it as tvoc_unit"
_FAILED = {"co2": 65534, "pm2_5": 65534, "pm10": 65534, "tvoc": 655.34, "hcho": 655.34, "o3": 655.34}
"""From here on a value is a code: 65534 polluted, 65535 failed, and hundredths of them."""


def milesight_format(payload: Payload) -> Parsed:
    return read_milesight(payload.object())


def read_milesight(body: Mapping[str, Any], path: str = "") -> Parsed:
    """Return a sample of the present values, one per probe, and one per item of `history`, which a device sends after a gap."""
    history = body.get("history")
    items = history if isinstance(history, list) and len(history) <= OBJECTS_LIMIT else []
    present = {key: value for key, value in body.items() if key != "history" or not items}
    probes = {key: part for key, part in _PROBES.items() if key in body}
    leaves = _leaves(present, path, tuple(probes), body)
    samples = [
        Sample(
            table_leaves({key: body[key]}, {key: "temperature"}, path),
            part=part,
            shares="temperature" not in body and part == _FIRST,
        )
        for key, part in probes.items()
    ]
    if measures(leaves):
        parsed = gather([[Sample(leaves), *samples]])
        samples, leaves = parsed.samples, parsed.common
    for index, item in enumerate(items):
        place = _place(path, f"history.{index}")
        values = _leaves(item, place, (), body) if isinstance(item, dict) else untaken(item, place)
        samples.append(Sample(values))
    if not samples and _DEVICE_KEYS & body.keys():
        raise NotReading("what the device says of itself, without measurements")
    return Parsed(samples, leaves)


def _leaves(values: Mapping[str, Any], path: str, skip: tuple[str, ...], body: Mapping[str, Any]) -> list[Leaf]:
    table, reasons = dict(_TABLE), {}
    if "tvoc" in values:
        target = _tvoc(values["tvoc"], body)
        if isinstance(target, tuple):
            table |= {"tvoc": target, "tvoc_unit": UNIT}
        else:
            reasons["tvoc"] = target
    for key, limit in _FAILED.items():
        number = parse_number(values.get(key))
        if number is not None and number >= limit:
            table.pop(key, None)
            reasons[key] = "a code of a sensor that is polluted or has failed"
    return table_leaves(values, table, path, skip, reasons)


def _tvoc(value: object, body: Mapping[str, Any]) -> tuple[str, str] | str:
    """Return field and unit of `tvoc`, or why it is not taken."""
    unit = body.get("tvoc_unit")
    if isinstance(unit, str):
        return _RATING if unit.lower() == "iaq" else ("tvoc", unit)
    number = parse_number(value)
    if number is not None and number <= _LARGEST_RATING and _AM300 & body.keys():
        return _RATING
    if _AM300 & body.keys():
        return "tvoc", "µg/m³"
    return ("tvoc", "ppb") if _AM100 & body.keys() else _NO_UNIT


def _place(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def is_milesight(body: object) -> bool:
    """Whether an object is of a Milesight decoder, by keys that only these have."""
    if not isinstance(body, dict):
        return False
    keys = body.keys()
    return (
        ("light_level" in keys and bool({"battery", "co2", "pir", "tvoc"} & keys))
        or keys >= _AM100
        or {"ipso_version", "tsl_version"} <= keys
        or bool(_PROBES.keys() & keys)
    )


def recognizes(payload: Payload) -> bool:
    return is_milesight(payload.json_or_none())


SPEC = FormatSpec("milesight", "milesight/{deviceId}", (), milesight_format, recognizes, signs=_SIGNS)
