"""The seams of the bridge: the contract between the pipeline and each component."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

from bson.objectid import ObjectId

from bridge.core.access.accounts import ApiKey, LoginSession, Revocation, User
from bridge.core.access.audit import AuditEvent, AuditQuery
from bridge.core.access.permissions import Identity
from bridge.core.access.shared_links import SharedLink
from bridge.core.alarms.delivery import AlarmDelivery, PushSubscription
from bridge.core.devices.command import Command, CommandRequest, CommandState
from bridge.core.devices.device import Device, Telemetry
from bridge.core.devices.named_location import NamedLocation
from bridge.core.devices.note import Note
from bridge.core.devices.profiles import DeviceProfile
from bridge.core.events import Event
from bridge.core.message import Decoded, DeviceStatus, Message, Rejection
from bridge.core.query import (
    Bucket,
    CommandsQuery,
    QuarantinedMessage,
    QuarantineGroup,
    QuarantineQuery,
    ReadingsQuery,
    RetentionResult,
    RollupResult,
    WriteResult,
)
from bridge.core.readings.reading import Reading
from bridge.core.rollup import DEVICES_LIMIT, HistoryRange
from bridge.log.order import CursorRange, Order
from bridge.log.preparation import PrepareProgress

T = TypeVar("T")

# --- stores: every call may raise `StoreUnavailable` -----------------------------------------------------------------


class QuarantineStore(Protocol):
    """Rejected messages. Safe to use while a bridge adds more."""

    async def groups(self) -> list[QuarantineGroup]:
        """Return a summary for each code and field, the largest group first."""

    async def count(self, query: QuarantineQuery, /) -> int:
        """Return the number of messages that match, whatever `limit` and `after`."""

    async def messages(self, query: QuarantineQuery, /) -> list[QuarantinedMessage]:
        """Return the messages that match."""

    async def revise(self, messages: Sequence[QuarantinedMessage], /) -> None:
        """Update code, reason and field of those messages that still exist."""

    async def release(self, ids: Sequence[ObjectId], /) -> int:
        """Delete messages; return how many existed."""


class HistoryStore(Protocol):
    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str], offset_ms: int = 0, /) -> list[Bucket]:
        """Summarize the readings that match by device and span of `every_ms`, by rising time; at most `query.limit` buckets.

        Spans begin where the time, `offset_ms` added, is a multiple of `every_ms`: at local midnight, if that is a day.
        The result does not depend on how far the rollups have come.
        """

    async def extent(self, devices: Sequence[str] | None, /) -> HistoryRange | None:
        """Return the first and last time of history of these devices (None: all); None if there is no history."""

    async def roll_up(self, devices_limit: int = DEVICES_LIMIT, /) -> RollupResult:
        """Advance the rollups by about a second's work, or do nothing while another bridge has the lease. Safe to cancel.

        New devices are left out beyond `devices_limit`.
        """


class ReadingWriter(Protocol):
    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        """Write everything and return once it would survive a power loss.

        After `StoreUnavailable` any part may have been written. Repeating the call is safe: a reading that exists with the
        same `_id` and the same `seq` counts as stored, with the same `_id` and another `seq` as a duplicate. A document that
        the store refuses because of its content does not affect the others.
        """


class ReadingEditor(Protocol):
    """Single readings, for people who correct them."""

    async def reading(self, identity: ObjectId, /) -> Reading | None:
        """Return the reading with this `_id`."""

    async def latest(self, devices: Sequence[str] | None = None, /) -> list[Reading]:
        """Return the newest reading of each of these devices (None: all), by device id. It costs a look-up a device.

        The newest is by time of measurement. A reading that was received in the future, under a clock that has been set right
        since, is the newest only if there is no other.
        """

    async def replace(self, before: Reading, after: Reading | None, /) -> bool:
        """Overwrite a reading by one with the same `_id`, or delete it; return once that would survive a power loss.

        Summaries are those of the changed readings at once: the rollups of the hours of `before` and `after` are not used until
        they are built again. False, and nothing changes, if there is no such reading. Repeating the call is safe.
        """


class LogStore(Protocol):
    """The order of the readings that several bridges write: see `bridge/log/order.py`. Only some stores have it."""

    async def prepare(self, progress: PrepareProgress = ..., /) -> Order:
        """Prepare the database for several bridges. Safe to repeat, and while bridges of a cluster, or one without, store.

        Raises `StoreError` if the database cannot be prepared.
        """

    async def order(self) -> Order:
        """Return the order, of which a majority of the database's members is certain. Raises `StoreError`."""

    async def hand_out(self, count: int, bridge: str, finished: Sequence[int], /) -> tuple[Order, CursorRange]:
        """Take the next `count` cursors, and remove the ranges that end at `finished`, in one step."""

    async def finish(self, highs: Sequence[int], /) -> Order:
        """Remove the ranges that end at `highs`: their bridge does not write there any more."""

    async def close(self, taken: CursorRange, /) -> Order:
        """Occupy the free cursors of a range, so that a write there is `WriteResult.closed`, then remove the range."""

    async def records(self, after: int, until: int, limit: int, /) -> list[Reading]:
        """Return the first `limit` readings in (`after`, `until`] by rising cursor, without quiet ones."""

    async def is_prepared(self) -> bool:
        """Return whether `prepare` was called on this database."""


class ReadingStore(ReadingWriter, ReadingEditor, Protocol):
    """Readings: the interface of a time-series store."""

    @property
    def quarantine(self) -> QuarantineStore:
        """The rejected messages; available once the store is entered."""

    @property
    def history(self) -> HistoryStore:
        """The readings over long times; available once the store is entered."""

    async def prepare(self) -> int:
        """Create tables and indexes, and return the highest `seq` stored (0: none). Safe to repeat."""

    async def readings(self, query: ReadingsQuery, /) -> list[Reading]:
        """Return the readings that match, by rising `seq`."""

    async def count(self, query: ReadingsQuery, /) -> int:
        """Return the number of readings that match, whatever the limit; an estimate if nothing is filtered."""

    async def enforce_retention(self) -> RetentionResult:
        """Delete documents beyond the ages and numbers in the settings, in steps too short to delay a write. Safe to repeat.

        Each call also makes the expiry that the database does by itself match the settings (`StoreError` if it cannot), and
        creates tables and indexes that somebody dropped.
        """

    async def size_bytes(self) -> int:
        """Return the space that everything takes on the disk of the database."""

    async def ping(self) -> None:
        """Return if the store accepts writes."""


class DeviceStore(Protocol):
    """The registry's devices. `ReadingStore.write` records statuses here too."""

    async def all(self, limit: int, /) -> list[Device]:
        """Return devices by id, at most `limit`, without their last readings."""

    async def get(self, device_id: str, /) -> Device | None:
        """Return the device with this id, without its last reading."""

    async def save(self, devices: Sequence[Device], /) -> None:
        """Insert or overwrite devices; a refused device does not affect the others."""

    async def save_state(self, devices: Sequence[Device], /) -> None:
        """As `save`, but what operators set stays as it is stored."""

    async def remove(self, device_id: str, /) -> bool:
        """Delete a device; its readings stay. False if it does not exist."""


class LocationStore(Protocol):
    """Locations that devices refer to."""

    async def all(self, limit: int, /) -> list[NamedLocation]:
        """Return at most `limit` locations, by id."""

    async def add(self, location: NamedLocation, /) -> bool:
        """Insert a location; False, and nothing changes, if its id exists."""

    async def save(self, location: NamedLocation, /) -> bool:
        """Overwrite a location; False, and nothing changes, if its id does not exist."""

    async def remove(self, identity: str, /) -> bool:
        """Delete a location; False if its id does not exist."""


class ProfileStore(Protocol):
    """What was learned or set about each device."""

    async def all(self, limit: int, /) -> dict[str, DeviceProfile]:
        """Return the profiles of at most `limit` devices, by device id."""

    async def save(self, profiles: Mapping[str, DeviceProfile], /) -> None:
        """Insert or overwrite profiles; a refused one does not affect the others."""

    async def remove(self, device_id: str, /) -> None:
        """Delete the profile of a device, if there is one."""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What is remembered of a device, of JSON types, up to the reading with this cursor."""

    device_id: str
    seq: int
    body: dict[str, Any]


class DeviceRecordStore(Protocol):
    """What is remembered of each device, for one purpose."""

    async def all(self, limit: int, /) -> list[DeviceRecord]:
        """Return the records of at most `limit` devices, by device id."""

    async def get(self, device_ids: Sequence[str], /) -> list[DeviceRecord]:
        """Return the records of those of these devices that have one, in their order. It costs a look-up a device."""

    async def save(self, records: Sequence[DeviceRecord], /) -> None:
        """Insert or overwrite records; a refused one does not affect the others."""

    async def remove(self, device_id: str, /) -> None:
        """Delete the record of a device, if there is one."""


@dataclass(frozen=True, slots=True)
class StoredAlarm:
    """An alarm, of JSON types. Its id begins with the time at which it was raised; `device_id` is empty for the bridge."""

    id: str
    device_id: str
    rule: str
    is_open: bool
    body: dict[str, Any]
    is_new: bool = False
    """The store does not have it: it may be inserted, which costs a database less than overwriting what may be there."""


@dataclass(frozen=True, slots=True)
class StoredTransition:
    """A change of an alarm, of JSON types. Its id begins with its time."""

    id: str
    alarm_id: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AlarmInput:
    """What changed alarms and is no reading, in its order; for alarms that are folded again after a restart."""

    number: int
    body: dict[str, Any]


class AlarmStore(Protocol):
    """Alarms, their history, and the inputs since the last checkpoint."""

    async def write(self, transitions: Sequence[StoredTransition], alarms: Sequence[StoredAlarm], /) -> None:
        """Insert the transitions whose ids do not exist, then insert or overwrite the alarms. Repeating the call is safe."""

    async def known(self, transition_ids: Sequence[str], /) -> set[str]:
        """Return those of the transitions that exist."""

    async def get(self, alarm_id: str, /) -> StoredAlarm | None:
        """Return the alarm with this id."""

    async def find(
        self,
        *,
        device_id: str | None = None,
        rule: str | None = None,
        is_open: bool | None = None,
        before: str | None = None,
        limit: int,
    ) -> list[StoredAlarm]:
        """Return alarms, the one raised last first, from below the id `before`."""

    async def transitions(
        self, *, alarm_id: str | None = None, before: str | None = None, limit: int
    ) -> list[StoredTransition]:
        """Return transitions, the latest first, from below the id `before`."""

    async def add_input(self, given: AlarmInput, /) -> None:
        """Insert an input unless its number exists."""

    async def inputs(self, limit: int, /) -> list[AlarmInput]:
        """Return the inputs by rising number."""

    async def drop_inputs(self, numbers: Sequence[int], /) -> None:
        """Delete inputs that a checkpoint contains."""


class CommandStore(Protocol):
    """Commands to devices; each device has its own ids. After `StoreUnavailable` a change may or may not have been written."""

    async def add(self, command: Command, /) -> Command:
        """Insert a command; return the command stored under its device and id, which may be an earlier one."""

    async def change(self, command: Command, was: CommandState, /) -> bool:
        """Overwrite a command if its state is still `was`; of several concurrent calls, one returns True."""

    async def get(self, device_id: str, command_id: str, /) -> Command | None:
        """Return the command of this device with this id."""

    async def find(self, query: CommandsQuery, /) -> list[Command]:
        """Return the commands that match."""


class RecordStore(Protocol[T]):
    async def get(self, identity: str, /) -> T | None:
        """Return the record with this id."""

    async def add(self, record: T, /) -> bool:
        """Insert a record; False, and nothing changes, if its id exists."""

    async def remove(self, identity: str, /) -> bool:
        """Delete a record; False if its id does not exist."""


class UserStore(RecordStore[User], Protocol):
    async def has_any(self) -> bool:
        """Whether there is a user, also one whose document is damaged."""

    async def all(self) -> list[User]:
        """Return every user, by id."""

    async def change(self, before: User, after: User, /) -> bool:
        """Replace `before` by `after`; False, and nothing changes, if the stored revision is not that of `before`."""


class ApiKeyStore(RecordStore[ApiKey], Protocol):
    async def all(self) -> list[ApiKey]:
        """Return every key, by id."""


class SharedLinkStore(RecordStore[SharedLink], Protocol):
    async def all(self) -> list[SharedLink]:
        """Return every link, by id."""


class SessionStore(RecordStore[LoginSession], Protocol):
    """Login sessions and revocations; the store deletes both after they expire."""

    async def rotate(self, before: LoginSession, after: LoginSession, /) -> bool:
        """Replace `before` by `after`; False, and nothing changes, if the stored generation is not that of `before`."""

    async def by_user(self, user: str, /) -> list[LoginSession]:
        """Return the sessions of a user, the oldest first."""

    async def revoke(self, revocation: Revocation, /) -> None:
        """Store the revocation of a grant. Safe to repeat."""

    async def revocations(self, mark: int, /) -> tuple[list[Revocation], int]:
        """Return the revocations written after a mark (0: all), whatever the writers' clocks, and the mark for the next call.

        Some may be returned twice.
        """


class AuditStore(Protocol):
    async def add(self, events: Sequence[AuditEvent], /) -> None:
        """Insert events; those whose ids exist stay unchanged. Raises `StoreError` if the store refuses one."""

    async def find(self, query: AuditQuery, /) -> list[AuditEvent]:
        """Return the events that match."""


class DeliveryStore(Protocol):
    """What targets are told of alarms. Deliveries are deleted `DELIVERY_DAYS` after they were created."""

    async def add(self, deliveries: Sequence[AlarmDelivery], /) -> None:
        """Insert deliveries; those whose ids exist stay unchanged. Raises `StoreError` if the store refuses one."""

    async def due(self, target: str, now_ms: int, limit: int, /) -> list[AlarmDelivery]:
        """Return at most `limit` waiting deliveries to this target that are due, by rising due time."""

    async def save(self, deliveries: Sequence[AlarmDelivery], /) -> None:
        """Insert or overwrite deliveries; a refused one does not affect the others."""

    async def by_group(self, group: str, /) -> list[AlarmDelivery]:
        """Return the last `GROUP_LIMIT` deliveries of the alarms of a group, the latest first."""


class NoteStore(Protocol):
    """Notes of people. Beyond `bridge.core.devices.note.LIMIT` the oldest are deleted."""

    async def by_device(self, device_id: str, /) -> list[Note]:
        """Return the notes about a device, the one written last first, at most `DEVICE_LIMIT`."""

    async def get(self, identity: str, /) -> Note | None:
        """Return the note with this id."""

    async def add(self, note: Note, /) -> None:
        """Insert a note."""

    async def remove(self, identity: str, /) -> bool:
        """Delete a note; False if it does not exist."""


class PushStore(Protocol):
    """Subscriptions of browsers to Web Push messages."""

    async def all(self, limit: int, /) -> list[PushSubscription]:
        """Return subscriptions by id, at most `limit`."""

    async def get(self, identity: str, /) -> PushSubscription | None:
        """Return the subscription with this id."""

    async def by_user(self, user: str, /) -> list[PushSubscription]:
        """Return the subscriptions of a user, the earliest first."""

    async def add(self, subscription: PushSubscription, /) -> None:
        """Insert or overwrite a subscription; beyond `PUSH_LIMIT` of a user, the earliest is deleted."""

    async def remove(self, identity: str, /) -> bool:
        """Delete a subscription; False if it does not exist."""


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """A running bridge of a cluster. `id` is 16 hex digits, drawn at each start; `started_ms` is by its own clock.

    `beat` rises with each write. `number` is that of the last message that it sent on the bus, at most 2^63 - 1. `report` are
    counts and texts for the status of the cluster, of JSON types. `place` is 0 while it has none.
    """

    id: str
    host: str = ""
    pid: int = 0
    started_ms: int = 0
    version: str = ""
    address: str = ""
    place: int = 0
    beat: int = 0
    number: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)


class BridgeStore(Protocol):
    """The bridges of a cluster."""

    async def all(self, limit: int, /) -> list[BridgeRecord]:
        """Return at most `limit` bridges, by id."""

    async def save(self, record: BridgeRecord, /) -> None:
        """Insert or overwrite a bridge."""

    async def remove(self, identity: str, /) -> bool:
        """Delete a bridge; False if it does not exist."""


class KeyValueStore(Protocol):
    async def put(self, key: str, value: str, /) -> None:
        """Set the value of a key."""

    async def get(self, key: str, /) -> str | None:
        """Return the value of a key; None if it has none."""

    async def put_if_absent(self, key: str, value: str, /) -> str:
        """Set the value of a key unless it has one; return its value. Concurrent calls return the same."""


class SwapStore(Protocol):
    async def get(self, key: str, /) -> str | None:
        """Return the value of a key; None if it has none."""

    async def swap(self, key: str, before: str | None, after: str, /) -> bool:
        """Set the value of a key if it is `before` (None: it has none); of several concurrent calls, one returns True."""


class StateStore(KeyValueStore, SwapStore, Protocol):
    """Everything that is not a reading. The stores are available once the store is entered."""

    @property
    def devices(self) -> DeviceStore:
        """The registry's devices."""

    @property
    def locations(self) -> LocationStore:
        """Locations that devices refer to."""

    @property
    def profiles(self) -> ProfileStore:
        """What is known of each device."""

    @property
    def air(self) -> DeviceRecordStore:
        """The air at each device."""

    @property
    def anomaly_states(self) -> DeviceRecordStore:
        """What anomalies are judged by, of each device."""

    @property
    def forecast_states(self) -> DeviceRecordStore:
        """What forecasts have learned of each device; `seq` is the hour up to which."""

    @property
    def predictions(self) -> DeviceRecordStore:
        """The last forecasts of each device; `seq` is the hour after which they were made."""

    @property
    def alarms(self) -> AlarmStore:
        """Alarms and their history."""

    @property
    def anomalies(self) -> AlarmStore:
        """Anomalies, kept as alarms are: `rule` is the kind."""

    @property
    def actions(self) -> AlarmStore:
        """Advice, kept as alarms are: `rule` is the kind, and what is open has not been told yet."""

    @property
    def notes(self) -> NoteStore:
        """Notes about moments at devices."""

    @property
    def commands(self) -> CommandStore:
        """Commands to devices."""

    @property
    def users(self) -> UserStore:
        """Users who may log in."""

    @property
    def keys(self) -> ApiKeyStore:
        """Keys of programs and devices."""

    @property
    def links(self) -> SharedLinkStore:
        """Links that show a view without a login."""

    @property
    def sessions(self) -> SessionStore:
        """Login sessions and revocations."""

    @property
    def audit(self) -> AuditStore:
        """Audit events."""

    @property
    def deliveries(self) -> DeliveryStore:
        """What targets are told of alarms."""

    @property
    def push(self) -> PushStore:
        """Browsers that are told of alarms."""

    @property
    def bridges(self) -> BridgeStore:
        """The bridges of a cluster."""

    async def server_time_ms(self) -> int:
        """Return the time by the clock of the store's machine, in milliseconds since the epoch."""


class Store(ReadingStore, StateStore, AbstractAsyncContextManager["Store"], Protocol):
    """The result of `open_store`. Entering it neither connects nor fails; leaving it closes every connection."""

    @property
    def log(self) -> LogStore | None:
        """The order of readings of several bridges; None if only one bridge may write into this store."""

    async def __aenter__(self) -> Self:
        """Create clients and threads."""


# --- other components ------------------------------------------------------------------------------------------------


class Publisher(Protocol):
    """Sends events to clients. It handles its own errors: no action of a client makes it raise."""

    def publish(self, events: Sequence[Event]) -> None:
        """Send stored events, in order, to their subscribers, without waiting for any of them."""


class PublisherStage(Publisher, Protocol):
    """A publisher in a chain: it handles its part of the events and passes the rest on to `next`."""

    next: Publisher


class MessageDecoder(Protocol):
    def decode(self, message: Message) -> Decoded:
        """Decode one message. Never raises."""


class DevicePresence(Protocol):
    """Receives what a source learns about devices apart from their readings. No method waits or raises."""

    def connected(self, device_id: str) -> None:
        """Record that a socket of this device is open."""

    def disconnected(self, device_id: str) -> None:
        """Record that the device has no open socket any more."""

    def update_state(self, device_id: str, state: Mapping[str, Any]) -> None:
        """Merge state that the device reported; a null removes its key."""

    def record_telemetry(self, device_id: str, telemetry: Telemetry) -> None:
        """Keep a telemetry message of the device's socket, unless it is older than the one that is kept."""

    def statuses(self, limit: int) -> list[DeviceStatus]:
        """Return the status of each device that has one, the last changed `limit`; callers always use the same limit."""


class CommandSender(Protocol):
    async def submit(self, request: CommandRequest, by: str) -> Command:
        """Store a command and send or queue it.

        Raises `UnknownDevice`, `CommandRejected` (the device is offline, or the id belongs to another command) and
        `StoreUnavailable`.
        """


class AlarmPanel(Protocol):
    """The alarms, for clients of sockets."""

    def standing_bodies(self) -> list[Mapping[str, Any]]:
        """Return the standing alarms as clients receive them, the one raised last first."""

    async def acknowledge(
        self, alarm_id: str, permits: Callable[[str], bool], actor: Identity, address: str, comment: str | None
    ) -> Mapping[str, Any]:
        """Acknowledge an alarm whose device `permits`, and return it; the device of an alarm of the bridge is empty.

        Raises `UnknownAlarm`, `AlarmStateError`, `StoreUnavailable` and `TemporarilyUnavailable`.
        """


class Authentication(Protocol):
    """Identifies clients and devices. While access is open every client is `ANYONE`, and no credentials are checked."""

    @property
    def required(self) -> bool:
        """Whether clients must authenticate."""

    @property
    def cookie_id(self) -> str | None:
        """What the names of this bridge's cookies end with; None until it is known, and while access is open.

        Browsers send a cookie to every server of a host, whatever the port: each bridge reads its own.
        """

    async def identify(self, credentials: str | None, address: str, /, *, in_cookie: bool = False) -> Identity:
        """Return the identity of a token or key. Raises `Unauthorized`, or `StoreUnavailable` if it cannot be checked.

        Tokens that are issued for cookies are refused unless they come `in_cookie`.
        """

    async def authenticate(self, credentials: str | None, address: str, /, *, in_cookie: bool = False) -> Identity:
        """As `identify`, but credentials are checked while access is open too: for paths that are never open."""

    async def identify_device(self, name: str | None, secret: str, address: str) -> Identity:
        """Return the identity of a device by its secret or key; `name` is None where a protocol has none.

        Raises as `identify` does, and `TooManyAttempts` after repeated failures.
        """

    def identify_device_while_open(self, name: str | None, secret: str) -> Identity:
        """The device or listener at `/ws/device` while access is open, by the secrets in the settings.

        `name` is None where a protocol has none at login. Raises `Unauthorized`.
        """

    def csrf_token(self, identity: Identity) -> str:
        """Return the CSRF token of a login session; empty for an identity without one."""

    def is_of_program(self, cookie: str) -> bool:
        """Return whether a session cookie, which was identified before, was given to a program and not to a browser."""

    def is_valid(self, identity: Identity) -> bool:
        """Return whether an identity is neither expired nor revoked. Called once a second for each live connection."""


class AuditLog(Protocol):
    """Records audit events. No method waits or raises: events that cannot be stored now are stored later, within a limit."""

    def record(self, action: str, *, actor: Identity, address: str = "", target: str = "", **details: str) -> None:
        """Record an action, named in a word or two (`login refused`, `command`), and its target. Never a secret."""


class SessionLease(Protocol):
    """The right to use an MQTT session, which one bridge of a cluster has at a time. Once it has ended it is over for good."""

    @property
    def receives(self) -> bool:
        """Whether messages are received. Otherwise the broker keeps no session, and the connection is for publishing."""

    @property
    def client_id(self) -> str:
        """The client id of the session."""

    @property
    def is_fresh(self) -> bool:
        """Whether no other bridge can have it: messages are acknowledged only then."""

    @property
    def has_ended(self) -> bool:
        """Whether this bridge must not use the session any more."""

    async def wait_ended(self) -> None:
        """Return once it has ended."""

    async def confirm(self) -> bool:
        """Return whether it has not ended, after asking the store; waits while the store is unavailable."""


class Source(Protocol):
    async def run(self) -> None:
        """Connect, receive and reconnect until cancelled; then send due acknowledgements and disconnect cleanly."""
