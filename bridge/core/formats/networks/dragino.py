"""Dragino: the object that its payload decoders give (Dragino, "dragino-end-node-decoder"), alone or inside the message of a
LoRaWAN network.

    {"BatV": 3.05, "TempC_SHT": "22.50", "Hum_SHT": "55.3", "TempC_DS": "4.12", "Ext_sensor": "Temperature Sensor", …}

Keys end in the unit or the sensor. The battery is in volts. Probes at a cable are parts: `DS`, `1` to `3`, `Red`, …
"""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import gather, measures, table_leaf, table_leaves
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP
from bridge.core.readings.measurements import parse_number
from bridge.core.timestamp import EARLIEST_MS, parse_time

_VOLTAGE = ("batteryVoltage", "V")
_TABLE: Table = {
    "devEUI": DEVICE_ID, "BatV": _VOLTAGE, "Bat_V": _VOLTAGE, "BAT_V": _VOLTAGE, "TempC_SHT": "temperature",
    "TempC_SHT31": "temperature", "Hum_SHT": "humidity", "Hum_SHT31": "humidity", "CO2_ppm": "co2", "TVOC_ppb": ("tvoc", "ppb"),
    "ILL_lx": "illuminance", "ILL_lux": "illuminance", "Illum": "illuminance",
}  # fmt: skip
_OWN_TEMPERATURE = {"TempC_SHT", "TempC_SHT31"}
_PROBES = {
    "TempC_DS": "DS", "TempC_DS18B20": "DS", "TempC1": "1", "TempC2": "2", "TempC3": "3", "Temp_Red": "Red",
    "Temp_White": "White", "Temp_Black": "Black", "Temp_Channel1": "1", "Temp_Channel2": "2",
}  # fmt: skip
_FIRST = {"DS", "1", "White"}
_CLOCKS = ("Systimestamp", "SysTimestamp")
_REASONS = {
    "temp_SOIL": "the temperature of soil",
    "temp_DS18B20": "the temperature of soil or water",
    "water_SOIL": "the moisture of soil",
    "conduct_SOIL": "the conductivity of soil",
}
_NOT_CONNECTED = {327.67, -327.68, 3276.7, -3276.8, 6553.5}
_NO_VALUE = "the code of a sensor that is not connected"
_KEYS = frozenset({"BatV", "Bat_V", "TempC_SHT", "TempC_DS", "Hum_SHT", "TempC1", "CO2_ppm", "TempC_SHT31"})


def dragino_format(payload: Payload) -> Parsed:
    return read_dragino(payload.object())


def read_dragino(body: Mapping[str, Any], path: str = "") -> Parsed:
    """Return a sample of the device and one per probe. The first probe is the device itself, if no other sensor measures the
    temperature.
    """
    table, reasons = dict(_TABLE), dict(_REASONS)
    for key in (key for key in body if key in table or key in _PROBES):
        if _is_missing(body[key]):
            table.pop(key, None)
            reasons[key] = _NO_VALUE
    for key in _CLOCKS:
        time = parse_time(body.get(key))
        if time is not None and time >= EARLIEST_MS:
            table[key] = TIMESTAMP
        else:
            reasons[key] = "a clock that was never set"
    probes = {key: part for key, part in _PROBES.items() if key in body and key not in reasons}
    leaves = table_leaves(body, table, path, tuple(probes), reasons)
    is_probe = not _OWN_TEMPERATURE & body.keys()
    samples = [
        Sample(
            [table_leaf(f"{path}.{key}" if path else key, body[key], "temperature")],
            part=part,
            shares=is_probe and part in _FIRST,
        )
        for key, part in probes.items()
        if not isinstance(body[key], dict | list)
    ]
    if measures(leaves):
        return gather([[Sample(leaves), *samples]])
    return Parsed(samples, leaves)


def _is_missing(value: object) -> bool:
    return parse_number(value) in _NOT_CONNECTED or (isinstance(value, str) and value.strip().upper() in ("NULL", "NAN", ""))


def is_dragino(body: object) -> bool:
    """Whether an object is of a Dragino decoder, by keys that only these have."""
    return isinstance(body, dict) and len(_KEYS & body.keys()) > 1


def recognizes(payload: Payload) -> bool:
    return is_dragino(payload.json_or_none())


SPEC = FormatSpec("dragino", "dragino/{deviceId}", (), dragino_format, recognizes, signs=_KEYS)
