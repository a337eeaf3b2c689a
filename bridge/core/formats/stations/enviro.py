"""Pimoroni Enviro: a nickname and an object of readings, as its firmware publishes on `enviro/<nickname>`.

    {"nickname": "attic", "model": "indoor", "uid": "e66…", "timestamp": "2026-11-28T10:00:00Z", "readings": {"temperature": …}}

Temperatures are in °C, the pressure in hPa, `luminance` in lx. The `aqi` of the indoor model is computed from the resistance of
its gas sensor, on no published scale, and `noise` is a voltage: neither is taken.
"""

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import measures, table_leaves
from bridge.core.formats.payload import Payload

_TABLE: Table = {
    "nickname": "deviceId",
    "timestamp": "timestamp",
    "readings.temperature": "temperature",
    "readings.humidity": "humidity",
    "readings.pressure": "pressure",
    "readings.luminance": "illuminance",
    "readings.pm1": "pm1",
    "readings.pm2_5": "pm25",
    "readings.pm10": "pm10",
    "readings.voltage": "batteryVoltage",
}
_REASONS = {"readings.aqi": "on no published scale", "readings.noise": "a voltage", "readings.gas_resistance": "a resistance"}
_KEYS = frozenset({"nickname", "model", "uid", "readings"})


def enviro_format(payload: Payload) -> Parsed:
    """Read one object; the nickname is the device unless the topic names it."""
    leaves = table_leaves(payload.object(), _TABLE, reasons=_REASONS)
    if not measures(leaves):
        raise NotReading("a device without measurements")
    return Parsed([Sample(leaves)])


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    return isinstance(body, dict) and body.keys() >= _KEYS and isinstance(body["readings"], dict)


SPEC = FormatSpec("enviro", "enviro/{deviceId}", ("deviceId",), enviro_format, recognizes, signs=_KEYS)
