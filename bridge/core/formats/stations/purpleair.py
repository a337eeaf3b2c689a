"""PurpleAir: the local `/json` of a sensor (PurpleAir Community, "Sensor JSON Documentation").

    {"SensorId": "84:f3:eb:aa:bb:cc", "place": "outside", "current_temp_f": 74, "pm2_5_atm": 3.1, "pm2_5_atm_b": 3.3, …}

Keys that end in `_b` are of the second laser counter. Masses come for two kinds of air: PurpleAir shows `atm` for sensors
outside and `cf_1` for those inside.
"""

from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import gather, in_utc, table_leaves
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP

_TABLE: Table = {
    "SensorId": DEVICE_ID, "DateTime": TIMESTAMP, "current_temp_f": ("temperature", "°F"), "current_humidity": "humidity",
    "pressure": ("pressure", "hPa"), "p_0_3_um": "pm03Count", "rssi": "rssi",
}  # fmt: skip
_COUNTER_B: Table = {"p_0_3_um_b": "pm03Count"}
_BME680: Table = {
    "current_temp_f_680": ("temperature", "°F"), "current_humidity_680": "humidity", "pressure_680": ("pressure", "hPa"),
}  # fmt: skip
_MASSES = {"pm1_0": "pm1", "pm2_5": "pm25", "pm10_0": "pm10"}
_KINDS = {"inside": ("cf_1", "atm")}
_OUTSIDE = ("atm", "cf_1")
_KEYS = frozenset({"pm2_5_atm", "pm2_5_cf_1", "current_temp_f", "p25aqic"})


def purpleair_format(payload: Payload) -> Parsed:
    """Read a sensor: counter A is the device, counter B its part `b`, a second climate sensor its part `BME680`."""
    body = payload.object()
    place = body.get("place")
    kinds = _KINDS.get(place, _OUTSIDE) if isinstance(place, str) else _OUTSIDE
    table, second, reasons = dict(_TABLE), dict(_COUNTER_B), {}
    for counter, ending in ((table, ""), (second, "_b")):
        for mass, field in _MASSES.items():
            taken, other = (f"{mass}_{kind}{ending}" for kind in kinds)
            if body.get(taken) is None and body.get(other) is not None:
                taken, other = other, taken
            counter[taken] = field
            reasons[other] = f"{taken} is taken"
    b, climate = ({key: body[key] for key in body if key in keys} for keys in (second, _BME680))
    samples = [Sample(in_utc(table_leaves(body, table, "", (*b, *climate), reasons)))]
    if b:
        samples.append(Sample(table_leaves(b, second), part="b"))
    if climate:
        samples.append(Sample(table_leaves(climate, _BME680), part="BME680", shares="current_temp_f" not in body))
    return gather([samples])


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    return isinstance(body, dict) and "SensorId" in body and bool(_KEYS & body.keys())


SPEC = FormatSpec("purpleair", "purpleair/{deviceId}", (), purpleair_format, recognizes, signs=_KEYS)
