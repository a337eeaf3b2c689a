"""Tasmota: an object with one object per sensor, as on `tele/…/SENSOR` and `tele/…/STATE`."""

import re
from collections.abc import Mapping
from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.field_names import sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import TIMESTAMP, UNIT, Leaf

_WARM_CHIPS = ("ESP32", "MHZ19", "SCD30", "SGP")  # these report their own temperature, not that of the air
_OWN_TEMPERATURE = "the temperature of the chip itself"
_UNIT_OF = {"TempUnit": "temperature", "PressureUnit": "pressure"}
_OTHER_UNITS = {"SpeedUnit"}
_NO_SENSORS = {"Wifi"}  # its `RSSI` is a percentage
_NUMBERED = re.compile(r"(.+?)-(\w+)")
_STATE_KEYS = {"Uptime", "UptimeSec", "Heap", "Wifi", "POWER", "POWER1", "LoadAvg"}


def tasmota_format(payload: Payload) -> Parsed:
    """Read `{"Time": …, "AM2301": {"Temperature": …}, "TempUnit": "C"}`.

    `Time` has no zone. Each sensor is a part that shares the device's series with the sensors that measure something else; a
    numbered sensor such as `DS18B20-2` is always a part, by its `Id` where it has one, which does not change when another
    sensor fails.
    """
    body = payload.object()
    units = {_UNIT_OF[key]: value for key, value in body.items() if key in _UNIT_OF and isinstance(value, str)}
    samples, common = [], []
    for key, value in body.items():
        if key == "Time":
            common.append(Leaf(key, value, TIMESTAMP))
        elif key in _UNIT_OF or key in _OTHER_UNITS:
            common.append(Leaf(key, value, UNIT))
        elif isinstance(value, dict) and value and key not in _NO_SENSORS:
            sample = _sensor(key, value, units)
            if sample is None:
                common += untaken(value, key)
            else:
                samples.append(sample)
        else:
            common += untaken(value, key)
    if not samples and _STATE_KEYS & body.keys():
        raise NotReading("a state without measurements")
    return Parsed(samples, common)


def _sensor(name: str, values: Mapping[str, Any], units: Mapping[str, str]) -> Sample | None:
    """Return the sample of one sensor; None if it measures nothing that is known."""
    leaves = []
    for key, value in values.items():
        path = f"{name}.{key}"
        found = sense(key.lower())  # lower case: `aHumidity`, in g/m³, would split into a humidity
        if isinstance(value, dict | list) or found is None or found.prefix:
            leaves += untaken(value, path)
        elif found.field == "temperature" and name.startswith(_WARM_CHIPS):
            leaves.append(Leaf(path, value, None, None, _OWN_TEMPERATURE))
        else:
            leaves.append(Leaf(path, value, found.field, found.unit or units.get(found.field)))
    if not any(leaf.field for leaf in leaves):
        return None
    numbered = _NUMBERED.fullmatch(name)
    identity = values.get("Id")
    if isinstance(identity, str) and identity:
        return Sample(leaves, part=f"{numbered[1] if numbered else name}-{identity}", shares=numbered is None)
    return Sample(leaves, part=name, shares=numbered is None)


def _is_sensor(value: object) -> bool:
    """Whether an object has Tasmota's names, which have a capital: `{"Temperature": 21.5}`, `{"eCO2": 450}`."""
    return isinstance(value, dict) and any(key != key.lower() for key in value)


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    return (
        isinstance(body, dict)
        and isinstance(body.get("Time"), str)
        and (bool(_UNIT_OF.keys() & body.keys()) or any(_is_sensor(value) for value in body.values()))
    )


SPEC = FormatSpec(
    "tasmota",
    "tele/{deviceId}/SENSOR",
    ("deviceId",),
    tasmota_format,
    recognizes,
    signs=frozenset({"Time"}),
    ignore=("{deviceId...}/LWT", "{deviceId...}/INFO1", "{deviceId...}/INFO2", "{deviceId...}/INFO3", "{deviceId...}/UPTIME"),
)
