"""Every error the bridge raises on purpose.

BridgeError
├── SettingsError
├── DeviceIdError · PatternError · FormatError · PayloadError · NotReading · UnitError · RecordError · TransferError
├── PortUnavailable · UnsupportedLibrary · PlaceTaken · StopIncomplete
├── StoreError
│   ├── StoreInUse
│   ├── OrderError
│   └── StoreUnavailable
├── Unavailable
│   ├── BusUnavailable
│   └── BrokerUnavailable
│       ├── ReceiveWindowExceeded
│       └── SessionTakenOver
├── TemporarilyUnavailable
│   ├── IntakeFull
│   ├── ShuttingDown
│   └── OutcomeUnknown
├── IdempotencyKeyReused
├── InvalidFields
│   └── DeviceError · LocationError · ReadingError
├── DeviceExists · TooManyDevices
├── LocationExists · LocationInUse · TooManyLocations · UnknownLocation
├── UnknownReading · UnknownNote · TooManyNotes
├── SubscriptionExists · UnknownSubscription · TooManySubscriptions · SurveyRunning
├── UnknownDevice
│   └── DeviceNotInScope
├── CommandStateError · CommandRejected
├── RuleError · RuleFileError · DeliveryFailed · UnknownTarget · AlarmStateError · UnknownAlarm
├── ForecastStateError
├── Unauthorized · Forbidden · TooManyAttempts
└── AccountError · AccountExists · UnknownAccount · LastAdmin

`PayloadError` is in `core/payload.py`, because it carries a `RejectionReason`; `BusMessageError` is in `cluster/envelope.py`,
because it carries a `BusFault`.
"""

from collections.abc import Sequence


class BridgeError(Exception):
    """The root of the tree; the text says what is wrong, where, and what is allowed."""


class SettingsError(BridgeError):
    """The settings are invalid; the text has one line per mistake, each with its origin."""


class DeviceIdError(BridgeError, ValueError):
    """A value is not a device id. `fault` says why, as a predicate: "contains '+'"."""

    def __init__(self, fault: str, allowed: str) -> None:
        super().__init__(f"{fault}: must be {allowed}")
        self.fault = fault


class Unavailable(BridgeError):
    """A server is unavailable: the `fault`, and the `remedy` where one is known. The text is both."""

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__(f"{fault}: {remedy}" if remedy else fault)
        self.fault = fault
        self.remedy = remedy


class PatternError(BridgeError, ValueError):
    """A topic pattern is not valid in MQTT."""


class FormatError(BridgeError, ValueError):
    """A payload format does not fit its topic pattern or its fields."""


class NotReading(BridgeError):
    """A message belongs to its family but carries no reading: a lamp's state, a warm-up. It is counted as ignored."""


class UnitError(BridgeError):
    """A number is in a unit that its field does not have."""


class RecordError(BridgeError):
    """A record or a line of a file is not a valid reading."""


class TransferError(BridgeError):
    """A file of an export or import cannot be read, written or continued."""


class PortUnavailable(BridgeError):
    """The port to listen on is in use or needs more privileges."""


class StopIncomplete(BridgeError):
    """The bridge has stopped, and left parts behind that did not close in time; the text names them."""


class StoreError(BridgeError):
    """The store failed to execute a request."""


class StoreInUse(StoreError):
    """Another bridge stores into the same database; the text names it."""


class OrderError(StoreError):
    """The order of cursors is damaged or exhausted, or was asked for more than it allows; the text says what is allowed."""


class PlaceTaken(BridgeError):
    """The place in the cluster is that of a live bridge, or all are taken; the text names it."""


class StoreUnavailable(StoreError, Unavailable):
    """The store is unreachable or timed out; a write may or may not have happened, and can be retried."""


class BrokerUnavailable(Unavailable):
    """The broker is unreachable, refused the connection, or closed it."""


class BusUnavailable(Unavailable):
    """The broker of the bus is unreachable, refused the connection, or closed it."""


class ReceiveWindowExceeded(BrokerUnavailable):
    """The broker sent more than the receive maximum; the unacknowledged rest is redelivered on the next connection."""


class SessionTakenOver(BrokerUnavailable):
    """Another client connected with our client id and received our session."""


class TemporarilyUnavailable(BridgeError):
    """The request cannot be served now and can be retried; the text says why, and whether it may have taken effect."""


class IntakeFull(TemporarilyUnavailable):
    """The limit of waiting readings is reached."""


class ShuttingDown(TemporarilyUnavailable):
    """The bridge is stopping and accepts no more input."""


class OutcomeUnknown(TemporarilyUnavailable):
    """Accepted input was not stored before the deadline; it may be stored later."""


class IdempotencyKeyReused(BridgeError):
    """An Idempotency-Key was already used for a different request."""


class InvalidFields(BridgeError):
    """Fields of a request are invalid; `fields` holds the reason for each."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(", ".join(f"{name} {reason}" for name, reason in fields.items()))
        self.fields = fields


class DeviceError(InvalidFields):
    """Attributes of a device are invalid."""


class LocationError(InvalidFields):
    """Attributes of a location are invalid."""


class ReadingError(InvalidFields):
    """The correction of a reading is invalid."""


class LocationExists(BridgeError):
    """A location with this id exists."""


class LocationInUse(BridgeError):
    """Devices refer to the location."""


class TooManyLocations(BridgeError):
    """The limit of locations is reached."""


class UnknownLocation(BridgeError):
    """No location has this id."""


class UnknownReading(BridgeError):
    """No stored reading has this id."""


class TooManyNotes(BridgeError):
    """The limit of notes about a device is reached."""


class UnknownNote(BridgeError):
    """No note has this id, or none within the caller's scope."""


class DeviceExists(BridgeError):
    """A device with this id is already registered."""


class TooManyDevices(BridgeError):
    """The registry is full."""


class SubscriptionExists(BridgeError):
    """A subscription with this pattern exists in the settings or in the store."""


class UnknownSubscription(BridgeError):
    """No stored subscription has this id."""


class TooManySubscriptions(BridgeError):
    """The limit of stored subscriptions is reached."""


class SurveyRunning(BridgeError):
    """A survey of the broker's topics is running; only one may."""


class UnknownDevice(BridgeError):
    """No device has this id."""


class DeviceNotInScope(UnknownDevice):
    """The device exists but is outside the caller's scope; the message is the same as for an unknown device."""

    def __init__(self, text: str, device_id: str) -> None:
        """`device_id` is for the audit log, not for the caller."""
        super().__init__(text)
        self.device_id = device_id


class CommandStateError(BridgeError):
    """A command cannot change from its state to the requested one."""


class CommandRejected(BridgeError):
    """A command was not accepted: the device is offline, the id is used by another command, or the queue is full."""


class Unauthorized(BridgeError):
    """Credentials are missing or invalid; `code` says in a word why (`expired`, `revoked`, …)."""

    def __init__(self, code: str, text: str) -> None:
        """`text` says what to do; it never contains the credentials."""
        super().__init__(text)
        self.code = code


class Forbidden(BridgeError):
    """The authenticated identity lacks a permission."""


class TooManyAttempts(BridgeError):
    """Login is locked after too many failures; retry after `seconds`. The same for existing and unknown users."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many attempts: try again in {max(1, round(seconds))} s")
        self.seconds = seconds


class AccountError(BridgeError, ValueError):
    """A user or key is invalid; `field` names the attribute and `text` states the rule."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text


class AccountExists(BridgeError):
    """A user or key with this name already exists."""


class UnknownAccount(BridgeError):
    """No user or key has this name or id."""


class LastAdmin(BridgeError):
    """The change would leave no user who can administer."""


class ForecastStateError(BridgeError):
    """A stored state of forecasts cannot be read."""


class RuleError(BridgeError, ValueError):
    """A rule of an alarm is not possible; the text says what is allowed."""


class RuleFileError(BridgeError):
    """The rules file is not valid; the text has a line for each of the `mistakes`."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class DeliveryFailed(BridgeError):
    """A target was not told, or some of its recipients were not; the text never contains a secret."""

    def __init__(self, text: str, done: Sequence[str] = ()) -> None:
        """`done` are the recipients that have received it."""
        super().__init__(text)
        self.done = tuple(done)


class UnknownTarget(BridgeError):
    """No target of notifications has this name."""


class AlarmStateError(BridgeError):
    """An alarm's state does not allow the operator's action."""


class UnknownAlarm(BridgeError):
    """No rule with this id applies to this device."""


class UnsupportedLibrary(BridgeError):
    """An installed library has changed a private name that the bridge relies on; the text names supported releases."""


DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, BridgeError)
"""What reading a document that was damaged in the store may raise."""
