"""Davis AirLink and WeatherLink Live: `/v1/current_conditions` (Davis Instruments, "AirLink Local API", "WeatherLink Live Local
API").

    {"data": {"did": "001D0A100000", "name": "Hall", "ts": 1795860000, "conditions": [{"data_structure_type": 6, …}]}, …}

Temperatures are in °F and pressures in inHg.
"""

from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import table_leaves, untaken
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError, quote
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP

_TEMPERATURE = ("temperature", "°F")
_AIR: Table = {
    "temp": _TEMPERATURE, "hum": "humidity", "pm_1": "pm1", "pm_2p5": "pm25", "pm_10": "pm10", "pm_10p0": "pm10",
}  # fmt: skip
_OUTDOOR: Table = {"temp": _TEMPERATURE, "hum": "humidity"}
_BAROMETER: Table = {"bar_absolute": ("pressure", "inHg")}
_INDOOR: Table = {"temp_in": _TEMPERATURE, "hum_in": "humidity"}
_TABLES: dict[object, Table] = {1: _OUTDOOR, 3: _BAROMETER, 4: _INDOOR, 5: _AIR, 6: _AIR}
"""By `data_structure_type`: 1 an outdoor station, 3 the barometer, 4 indoors, 5 and 6 an AirLink."""
_STATION = 1
_REASONS = {
    **dict.fromkeys(("pm_1_last", "pm_2p5_last", "pm_10_last"), "the mean of a minute is taken"),
    "bar_sea_level": "reduced to sea level",
}


def airlink_format(payload: Payload) -> Parsed:
    """Read all conditions as one device; a station that it receives by radio is the part `txid` and its number."""
    body = payload.object()
    data = body.get("data")
    if not isinstance(data, dict):
        if body.get("error") is not None:
            raise NotReading("an error of the device instead of its conditions")
        raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: data is {quote(data)}, not an object")
    common = table_leaves(data, {"did": DEVICE_ID, "ts": TIMESTAMP}, "data", ("conditions",))
    common += table_leaves(body, {}, "", ("data",))
    conditions = data.get("conditions")
    if not isinstance(conditions, list):
        return Parsed([], common + untaken(conditions, "data.conditions"))
    own, samples = Sample([]), []
    for index, item in enumerate(conditions):
        place = f"data.conditions.{index}"
        kind = item.get("data_structure_type") if isinstance(item, dict) else None
        table = _TABLES.get(kind) if isinstance(kind, int) else None
        if table is None:
            common += untaken(item, place)
        elif kind == _STATION:
            samples.append(Sample(table_leaves(item, table, place), part=f"txid{_number(item)}"))
        else:
            own.leaves += table_leaves(item, table, place, reasons=_REASONS)
    return Parsed([own, *samples] if own.leaves else samples, common)


def _number(item: dict[str, Any]) -> str:
    number = item.get("txid")
    return str(number) if isinstance(number, int) else ""


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if not isinstance(body, dict):
        return False
    data, error = body.get("data"), body.get("error")
    if data is None and body.keys() == {"data", "error"}:
        return isinstance(error, dict) and "code" in error
    return isinstance(data, dict) and "did" in data and isinstance(data.get("conditions"), list)


SPEC = FormatSpec("airlink", "airlink/{deviceId}", (), airlink_format, recognizes, signs=frozenset({"data"}))
