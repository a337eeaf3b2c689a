"""The decoder that rejects messages of unregistered devices, for `devices.registration = "required"`."""

from collections.abc import Container

from bson.objectid import ObjectId

from bridge.core.message import Decoded, Message, Rejection, RejectionReason
from bridge.ports import MessageDecoder


class RegisteredOnlyDecoder:
    """Wraps another decoder, so that decoding stays pure: only this check depends on the registry."""

    def __init__(self, decoder: MessageDecoder, registered: Container[str]) -> None:
        self._decoder = decoder
        self._registered = registered

    def decode(self, message: Message) -> Decoded:
        meaning = self._decoder.decode(message)
        device_id = getattr(meaning, "device_id", None)
        if device_id is None or device_id in self._registered:
            return meaning
        reason = f"device {device_id} is not registered, and devices.registration is required"
        return Rejection(message.id or ObjectId(), message, RejectionReason.NOT_REGISTERED, reason, "deviceId")
