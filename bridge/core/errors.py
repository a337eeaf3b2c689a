"""Every error the bridge raises on purpose, in one tree."""


class BridgeError(Exception):
    """The root: what went wrong, where, and what is allowed, in words for the person who runs the bridge."""


class SettingsError(BridgeError):
    """The settings cannot be used; the text lists every mistake with its origin."""


class PatternError(BridgeError, ValueError):
    """A topic pattern that MQTT would not take."""


class FormatError(BridgeError, ValueError):
    """A payload format that cannot be used with its pattern or its fields."""


class PortUnavailable(BridgeError):
    """A port we were told to listen on is in use, or not ours to use."""


class StoreError(BridgeError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store is away or did not answer in time; the write may or may not have happened. Try again."""


class TemporarilyUnavailable(BridgeError):
    """What was asked cannot be done at the moment; the text says why, and whether it may have happened. Ask again."""


class IntakeFull(TemporarilyUnavailable):
    """As much waits as may wait."""


class ShuttingDown(TemporarilyUnavailable):
    """The bridge takes nothing more in."""


class OutcomeUnknown(TemporarilyUnavailable):
    """It was taken in and was not stored before the deadline; it may be later."""


class IdempotencyKeyReused(BridgeError):
    """An Idempotency-Key that was used for something else."""


class BrokerUnavailable(BridgeError):
    """The broker is away, refused us, or left."""


class ReceiveWindowExceeded(BrokerUnavailable):
    """The broker sent more than we take on one connection; all that was taken is settled, the rest comes on the next."""


class SessionTakenOver(BrokerUnavailable):
    """Another client connected under our client id, and the broker gave it our session."""


class RecordError(BridgeError):
    """A line or record that is no reading; the text says why."""


class TransferError(BridgeError):
    """A file that cannot be read, written or continued."""


class DeviceError(BridgeError):
    """What was said of a device cannot be kept; `fields` tells what is wrong with which."""

    def __init__(self, fields: dict[str, str]) -> None:
        """A reason by field."""
        super().__init__(", ".join(f"{name} {reason}" for name, reason in fields.items()))
        self.fields = fields


class Unauthorized(BridgeError):
    """Nobody who is known: nothing was shown, or what was shown is not valid. `code` groups it (`expired`, `revoked`, …)."""

    def __init__(self, code: str, text: str) -> None:
        """`text` says what to do; never what was shown."""
        super().__init__(text)
        self.code = code


class Forbidden(BridgeError):
    """Somebody who is known, and may not do this."""


class TooManyAttempts(BridgeError):
    """Guessed too often; `seconds` is how long to wait before the next attempt."""

    def __init__(self, seconds: float) -> None:
        """The same whether there is such a user or not."""
        super().__init__(f"too many attempts: try again in {max(1, round(seconds))} s")
        self.seconds = seconds


class AccountError(BridgeError, ValueError):
    """What was said of a user or a key cannot be kept; `field` tells which part of it."""

    def __init__(self, field: str, text: str) -> None:
        """`text` is the rule."""
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text


class AccountExists(BridgeError):
    """There is one of this name."""


class UnknownAccount(BridgeError):
    """There is no such user or key."""


class LastAdmin(BridgeError):
    """Nobody would be left who may administer."""


class UnknownDevice(BridgeError):
    """No device of this id is known."""


class DeviceNotInScope(UnknownDevice):
    """There is such a device, and not for whoever asks; the text says no more than that of one that is unknown."""

    def __init__(self, text: str, device_id: str) -> None:
        """`device_id` is for those who may know."""
        super().__init__(text)
        self.device_id = device_id


class DeviceExists(BridgeError):
    """A device of this id is registered already."""


class TooManyDevices(BridgeError):
    """The registry holds as many devices as it may."""


class CommandStateError(BridgeError):
    """A command cannot go from the one state to the other."""


class CommandRejected(BridgeError):
    """A command that is not taken: the device is offline, another one has its id, or too many wait."""
