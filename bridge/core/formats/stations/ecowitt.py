"""Ecowitt and Ambient Weather: the form of a gateway's "customized" upload, or the same keys as JSON (Ecowitt, "Data Upload
Protocol"; Ambient Weather, "Device Data Specs").

    PASSKEY=5F…&stationtype=GW1100A_V2.3.2&dateutc=2026-11-28+10:00:00&tempinf=71.2&humidityin=45&baromabsin=29.6&temp1f=39.9&…

Temperatures are in °F and pressures in inHg; `dateutc` is UTC. The sensors of a gateway are parts: `outdoor`, `ch1` to `ch8`,
`pm25_ch1`, `co2` (the air quality sensor WH45 or WH46), `aqin`, and so on; what the gateway itself measures is the device's.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl

from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import measures, table_leaf, untaken, utc_time
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNKNOWN, Leaf

_F, _INHG = "°F", "inHg"
_GATEWAY: Table = {
    "tempinf": ("temperature", _F), "humidityin": "humidity", "baromabsin": ("pressure", _INHG), "co2in": "co2",
    "pm25_in": "pm25",
}  # fmt: skip
_PARTS: Mapping[str, Table] = {
    "outdoor": {"tempf": ("temperature", _F), "humidity": "humidity", "pm25": "pm25"},
    "co2": {
        "tf_co2": ("temperature", _F), "humi_co2": "humidity", "co2": "co2", "pm1_co2": "pm1", "pm25_co2": "pm25",
        "pm4_co2": "pm4", "pm10_co2": "pm10",
    },
    "aqin": {
        "pm_in_temp_aqin": ("temperature", _F), "pm_in_humidity_aqin": "humidity", "co2_in_aqin": "co2", "pm25_in_aqin": "pm25",
        "pm10_in_aqin": "pm10",
    },
}  # fmt: skip
_PART_OF_KEY = {key: (part, target) for part, table in _PARTS.items() for key, target in table.items()}
_CHANNELS: tuple[tuple[re.Pattern[str], str, str | tuple[str, str]], ...] = (
    (re.compile(r"temp(\d{1,2})f"), "ch{}", ("temperature", _F)),
    (re.compile(r"humidity(\d{1,2})"), "ch{}", "humidity"),
    (re.compile(r"tf_ch(\d{1,2})"), "tf_ch{}", ("temperature", _F)),
    (re.compile(r"pm25_ch(\d{1,2})"), "pm25_ch{}", "pm25"),
)
"""Keys of numbered sensors, the part of each, and its field."""
_REASONS = {
    "baromrelin": "reduced to sea level",
    "solarradiation": "irradiance in W/m², no illuminance",
}
_SECRETS = {"PASSKEY", "PASSWORD"}
_FORM_FIELDS = 1000


def ecowitt_format(payload: Payload) -> Parsed:
    """Read a form or a JSON object. Without a device id in the topic, the device is `ecowitt-` and a hash of its PASSKEY, which
    is a credential of the maker's cloud and goes into no record.
    """
    parts: dict[str, list[Leaf]] = {"": []}
    common: list[Leaf] = []
    for key, value in _body(payload).items():
        if isinstance(value, dict | list):
            common += untaken(value, key)
        elif key in _SECRETS:
            common.append(Leaf(key, _public_id(value), DEVICE_ID if key == "PASSKEY" else None, None, "a secret"))
        elif key == "dateutc":
            common.append(Leaf(key, utc_time(value), TIMESTAMP))
        else:
            part, target = _target(key)
            parts.setdefault(part, []).append(
                table_leaf(key, None if value == "" else value, target, _REASONS.get(key, UNKNOWN))
            )
    if not measures(parts[""]):
        common += parts.pop("")
    return Parsed([Sample(leaves, part=part) for part, leaves in parts.items()], common)


def _body(payload: Payload) -> Mapping[str, Any]:
    text = payload.text()
    if text.startswith("{"):
        return payload.object()
    try:
        pairs = parse_qsl(text.removeprefix("?"), keep_blank_values=True, max_num_fields=_FORM_FIELDS)
    except ValueError:
        raise PayloadError(RejectionReason.TOO_LARGE, f"a form of more than the {_FORM_FIELDS} fields allowed") from None
    if not pairs:
        raise PayloadError(RejectionReason.NOT_OBJECT, "not a form: no key=value")
    return dict(reversed(pairs))


def _public_id(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return f"ecowitt-{blake2b(value.encode('utf-8', 'replace'), digest_size=6).hexdigest()}"


def _target(key: str) -> tuple[str, str | tuple[str, str] | None]:
    """Return the part and the field of a key; a key that is not taken is the gateway's."""
    if key in _GATEWAY:
        return "", _GATEWAY[key]
    if key in _PART_OF_KEY:
        return _PART_OF_KEY[key]
    for pattern, part, target in _CHANNELS:
        if found := pattern.fullmatch(key):
            return part.format(found[1]), target
    return "", None


def recognizes(payload: Payload) -> bool:
    if payload.data[:1] in (b"{", b"["):
        body = payload.json_or_none()
        return isinstance(body, dict) and "PASSKEY" in body and "dateutc" in body
    return b"PASSKEY=" in payload.data and b"dateutc=" in payload.data


SPEC = FormatSpec("ecowitt", "ecowitt/{deviceId}", (), ecowitt_format, recognizes, signs=frozenset({"PASSKEY"}))
