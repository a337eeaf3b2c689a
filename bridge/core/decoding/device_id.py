"""The device id of a message."""

from bridge.core.errors import DeviceIdError
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError, quote
from bridge.core.readings.identity import DEVICE_ID_RULE, parse_device_id


def resolve_device_id(from_topic: str | None, from_body: object) -> str:
    """Return the device id of the topic, or that of the body if the topic captures none. Raises `PayloadError`."""
    device_id = from_topic if from_topic is not None else from_body
    if isinstance(device_id, int) and not isinstance(device_id, bool):
        device_id = str(device_id)
    try:
        return parse_device_id(device_id)
    except DeviceIdError as error:
        where = "the topic" if from_topic is not None else "deviceId"
        what = "is missing" if device_id is None else f"is {quote(device_id)}, which {error.fault}"
        raise PayloadError(
            RejectionReason.NO_DEVICE_ID, f"no valid device id: {where} {what}; allowed are {DEVICE_ID_RULE}", "deviceId"
        ) from None
