"""The Things Network and The Things Stack v3: uplinks by MQTT and webhook (The Things Stack documentation, "Data Formats").

{"end_device_ids": {"device_id": "hall", …}, "received_at": "2026-11-28T10:00:00.123456789Z",
 "uplink_message": {"decoded_payload": {…}, "rx_metadata": [{"rssi": -35, …}], …}}
"""

from bridge.core.errors import NotReading
from bridge.core.formats.format import FormatSpec, Parsed
from bridge.core.formats.leaves import table_leaves
from bridge.core.formats.networks.decoded import best_signal, read_decoded
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP

_UPLINK = "uplink_message"
_DECODED = ("decoded_payload", "normalized_payload")
_EVENTS = {
    "join_accept", "downlink_queued", "downlink_sent", "downlink_ack", "downlink_nack", "downlink_failed",
    "downlink_queue_invalidated", "location_solved", "service_data",
}  # fmt: skip
_TABLE = {"end_device_ids.device_id": DEVICE_ID, "received_at": TIMESTAMP}
_NOT_DECODED = "no decoded_payload: set an uplink payload formatter for the device in The Things Stack"


def ttn_format(payload: Payload) -> Parsed:
    """Read the decoded payload of an uplink, by the device's time if it has one, else by `received_at`. Other events are no
    readings.
    """
    body = payload.object()
    uplink = body.get(_UPLINK)
    if not isinstance(uplink, dict):
        if event := next((key for key in body if key in _EVENTS), None):
            raise NotReading(f"{event}, no uplink")
        raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: no {_UPLINK}")
    key = next((key for key in _DECODED if uplink.get(key)), None)
    if key is None:
        if not uplink.get("frm_payload"):
            raise NotReading("an uplink without a payload")
        raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: {_NOT_DECODED}", "decoded_payload")
    parsed = read_decoded(uplink[key], f"{_UPLINK}.{key}")
    parsed.common += table_leaves(body, _TABLE, skip=(_UPLINK,))
    parsed.common += table_leaves(uplink, best_signal(uplink.get("rx_metadata"), "rx_metadata"), _UPLINK, (key,))
    return parsed


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    ids = body.get("end_device_ids") if isinstance(body, dict) else None
    return isinstance(ids, dict) and "device_id" in ids


SPEC = FormatSpec("ttn", "v3/+/devices/{deviceId}/up", (), ttn_format, recognizes, signs=frozenset({"end_device_ids"}))
