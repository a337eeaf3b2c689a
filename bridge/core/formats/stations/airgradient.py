"""AirGradient ONE, Pro and Open Air: the local server, MQTT and the cloud (AirGradient documentation, "Local Server API").

    {"serialno": "ecda3b1eaaaf", "wifi": -46, "rco2": 447, "pm02": 7, "pm02Compensated": 6, "atmp": 25.9, "rhum": 43, …}

Temperature, humidity and PM2.5 come raw and compensated for the heat and the optics of the device. A device with two channels
sends the means of both, and each of them in `channels`.
"""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import gather, table_leaves, untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, Leaf

_TABLE: Table = {
    "serialno": DEVICE_ID, "timestamp": TIMESTAMP, "wifi": "rssi", "rco2": "co2", "pm01": "pm1", "pm02": "pm25", "pm10": "pm10",
    "pm003Count": "pm03Count", "atmp": "temperature", "rhum": "humidity", "tvoc": "tvoc", "tvocIndex": "vocIndex",
    "tvoc_index": "vocIndex", "no2": "no2", "o3": "o3", "noxIndex": "noxIndex", "nox_index": "noxIndex",
}  # fmt: skip
_COMPENSATED = tuple(
    (raw, raw + ending) for raw in ("pm02", "atmp", "rhum", "rco2") for ending in ("Compensated", "_corrected")
)
_NEVER_NEGATIVE = {"co2", "pm1", "pm25", "pm10", "pm03Count", "humidity", "tvoc", "vocIndex", "noxIndex"}
_CHANNELS = "channels"
_KEYS = frozenset({"serialno", "rco2", "atmp", "rhum", "pm02", "pm003Count", "tvocRaw", "noxRaw"})


def airgradient_format(payload: Payload) -> Parsed:
    """Read one device, or the list of an account's devices in the cloud. Each channel is a part: `id.channel1`."""
    return gather([_device(body, path) for path, body in payload.objects()])


def _device(body: Mapping[str, Any], path: str) -> list[Sample]:
    samples = [Sample(_leaves(body, path))]
    place = f"{path}.{_CHANNELS}" if path else _CHANNELS
    channels = body.get(_CHANNELS)
    for name, channel in channels.items() if isinstance(channels, dict) else ():
        if isinstance(channel, dict):
            samples.append(Sample(_leaves(channel, f"{place}.{name}"), part=f"channel{name}"))
        else:
            samples[0].leaves += untaken(channel, f"{place}.{name}")
    if _CHANNELS in body and not (isinstance(channels, dict) and channels):
        samples[0].leaves += untaken(channels, place)
    return samples


def _leaves(body: Mapping[str, Any], path: str) -> list[Leaf]:
    table, reasons = dict(_TABLE), {}
    for raw, better in _COMPENSATED:
        if body.get(better) is not None and raw in table:
            table[better] = table.pop(raw)
            reasons[raw] = f"{better} is taken"
    for key, field in list(table.items()):
        if field in _NEVER_NEGATIVE and body.get(key) == -1:
            del table[key]
            reasons[key] = "-1: the sensor is missing or has failed"
    return table_leaves(body, table, path, (_CHANNELS,), reasons)


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    first = body[0] if isinstance(body, list) and body else body
    return isinstance(first, dict) and len(_KEYS & first.keys()) > 1


SPEC = FormatSpec("airgradient", "airgradient/readings/{deviceId}", (), airgradient_format, recognizes, signs=_KEYS)
