"""ChirpStack v4: uplinks by MQTT and HTTP (ChirpStack documentation, "Event types").

{"time": "2026-11-28T10:00:00.123+00:00", "deviceInfo": {"devEui": "0102030405060708", "deviceName": "hall", …}, "fPort": 1,
 "data": "…", "object": {…}, "rxInfo": [{"rssi": -48, …}], …}
"""

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import table_leaves
from bridge.core.formats.networks.decoded import best_signal, read_decoded
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP

_OBJECT = "object"
_TABLE = {"deviceInfo.devEui": DEVICE_ID, "time": TIMESTAMP}
_STATUS = {"batteryLevel": "battery"}
_NOT_DECODED = "no object: set a codec in the device profile in ChirpStack"


def chirpstack_format(payload: Payload) -> Parsed:
    """Read the decoded object of an uplink, or the battery of a `status` event. Other events are no readings."""
    body = payload.object()
    if "integrationName" not in body and body.get(_OBJECT):
        parsed = read_decoded(body[_OBJECT], _OBJECT)
        parsed.common += table_leaves(body, _TABLE | best_signal(body.get("rxInfo"), "rxInfo"), skip=(_OBJECT,))
        return parsed
    if body.get("data") and "fCnt" in body:
        raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: {_NOT_DECODED}", _OBJECT)
    if (
        "batteryLevel" in body
        and body.get("batteryLevelUnavailable") is not True
        and body.get("externalPowerSource") is not True
    ):
        return Parsed([Sample(table_leaves(body, _TABLE | _STATUS))])
    raise NotReading("an event without measurements")


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    device = body.get("deviceInfo") if isinstance(body, dict) else None
    return isinstance(device, dict) and "devEui" in device


SPEC = FormatSpec(
    "chirpstack", "application/+/device/{deviceId}/event/up", (), chirpstack_format, recognizes, signs=frozenset({"deviceInfo"})
)
