"""The decoder that rejects messages of unregistered devices, for `devices.registration = "required"`."""

from collections.abc import Container

from bson.objectid import ObjectId

from bridge.core.message import Decoded, Message, ReadingBatch, Rejection, RejectionReason
from bridge.core.readings.reading import Reading
from bridge.ports import MessageDecoder


class RegisteredOnlyDecoder:
    """Wraps another decoder, so that decoding stays pure: only this check depends on the registry."""

    def __init__(self, decoder: MessageDecoder, registered: Container[str]) -> None:
        self._decoder = decoder
        self._registered = registered

    def decode(self, message: Message) -> Decoded:
        decoded = self._decoder.decode(message)
        if isinstance(decoded, ReadingBatch):
            return self._admit(message, decoded)
        device_id = decoded.sender if isinstance(decoded, Reading) else getattr(decoded, "device_id", None)
        if device_id is None or device_id in self._registered:
            return decoded
        return _rejection(message, device_id)

    def _admit(self, message: Message, batch: ReadingBatch) -> Decoded:
        """Return a batch without the readings of unregistered devices."""
        readings = [reading for reading in batch.readings if reading.sender in self._registered]
        if len(readings) == len(batch.readings):
            return batch
        unregistered = next(reading.sender for reading in batch.readings if reading.sender not in self._registered)
        rejection = _rejection(message, unregistered)
        return ReadingBatch(readings, (*batch.rejections, rejection)) if readings else rejection


def _rejection(message: Message, device_id: str) -> Rejection:
    reason = f"device {device_id} is not registered, and devices.registration is required"
    return Rejection(message.id or ObjectId(), message, RejectionReason.NOT_REGISTERED, reason, "deviceId")
