"""The seams of the bridge: what the pipeline promises to a part, and what the part promises back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, Self

from bson.objectid import ObjectId

from bridge.core.access.accounts import ApiKey, LoginSession, Revocation, User
from bridge.core.access.audit import AuditEvent, AuditQuery
from bridge.core.access.permissions import Identity
from bridge.core.devices.command import Command, CommandRequest, CommandState
from bridge.core.devices.device import Device
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
from bridge.core.rollup import HistoryRange


class QuarantineStore(Protocol):
    """The rejected messages of a store. Safe beside a bridge that goes on rejecting; may raise `StoreUnavailable`."""

    async def groups(self) -> list[QuarantineGroup]:
        """What is there, in short, the largest group first."""
        ...

    async def count(self, query: QuarantineQuery) -> int:
        """How many `messages` would give if it had no limit and no `after`."""
        ...

    async def messages(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        """The messages asked for."""
        ...

    async def revise(self, messages: Sequence[QuarantinedMessage]) -> None:
        """Bring code, reason and field up to date; a message that is no longer there stays away."""
        ...

    async def release(self, ids: Sequence[ObjectId]) -> int:
        """Remove messages; how many were there."""
        ...


class DeviceStore(Protocol):
    """The registry of a store. `Store.write` notes statuses there too. Each call may raise `StoreUnavailable`."""

    async def all(self, limit: int) -> list[Device]:
        """Every device, by id, at most `limit`; without their last readings."""
        ...

    async def save(self, devices: Sequence[Device]) -> None:
        """Keep them as they are now, over what was there; one that is refused for its own sake keeps no other out."""
        ...

    async def remove(self, device_id: str) -> None:
        """Forget it; its readings stay."""
        ...


class CommandStore(Protocol):
    """The commands of a store. Each call may raise `StoreUnavailable`, which leaves open what was written."""

    async def add(self, command: Command) -> Command:
        """Keep a new one; what is there under its id now: itself, or another that was there before."""
        ...

    async def change(self, command: Command, was: CommandState) -> bool:
        """Keep it as it is now if its state is still `was`; of several who try that at once, one is told True."""
        ...

    async def get(self, command_id: str) -> Command | None:
        """The one with this id."""
        ...

    async def find(self, query: CommandsQuery) -> list[Command]:
        """The commands asked for."""
        ...


class HistoryStore(Protocol):
    """The stored readings over long times, by way of rollups. Each call may raise `StoreUnavailable`."""

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        """The readings asked for, in short: by device and by spans of `every_ms`, by rising time; at most `query.limit`.

        What it gives does not depend on how far the rollups have come.
        """
        ...

    async def extent(self, devices: Sequence[str] | None) -> HistoryRange | None:
        """From when to when there is history of these devices (None: of all); None if there is none."""
        ...

    async def roll_up(self) -> RollupResult:
        """Bring the rollups forward by a step of about a second, or wait for no one and do nothing. Safe to break off."""
        ...


class UserStore(Protocol):
    """The people of a store, by name. Each call may raise `StoreUnavailable`."""

    async def all(self) -> list[User]:
        """By id."""
        ...

    async def get(self, identity: str) -> User | None:
        """The one with this id."""
        ...

    async def add(self, one: User) -> bool:
        """Keep a new one; False, and nothing is changed, if there is one of this id."""
        ...

    async def save(self, one: User) -> bool:
        """Keep it as it is now, over what was there; False, and nothing is kept, if there was none."""
        ...

    async def remove(self, identity: str) -> bool:
        """Forget it; whether it was there."""
        ...


class ApiKeyStore(Protocol):
    """The keys of programs and devices, likewise."""

    async def all(self) -> list[ApiKey]:
        """By id."""
        ...

    async def get(self, identity: str) -> ApiKey | None:
        """The one with this id."""
        ...

    async def add(self, one: ApiKey) -> bool:
        """Keep a new one; False, and nothing is changed, if there is one of this id."""
        ...

    async def remove(self, identity: str) -> bool:
        """Forget it; whether it was there."""
        ...


class SessionStore(Protocol):
    """Sessions, and what was taken back; both are forgotten once they have expired. Each call may raise `StoreUnavailable`."""

    async def get(self, identity: str) -> LoginSession | None:
        """The one with this id."""
        ...

    async def add(self, one: LoginSession) -> bool:
        """Keep a new one; False if there is one of this id."""
        ...

    async def rotate(self, before: LoginSession, after: LoginSession) -> bool:
        """Put `after` in the place of `before`; False, and nothing is changed, if it is not as it was `before`."""
        ...

    async def by_user(self, user: str) -> list[LoginSession]:
        """Those of a user, the oldest first."""
        ...

    async def remove(self, identity: str) -> bool:
        """Forget it; whether it was there."""
        ...

    async def revoke(self, one: Revocation) -> None:
        """Keep that a grant was taken back; safe to repeat."""
        ...

    async def revocations(self, mark: int) -> tuple[list[Revocation], int]:
        """What was written after a mark, 0 for all, whatever the clocks of those who wrote it.

        And the mark to ask with the next time. Some may be told twice.
        """
        ...


class AuditStore(Protocol):
    """Who did what, for as long as the settings say. Each call may raise `StoreUnavailable`."""

    async def add(self, acts: Sequence[AuditEvent]) -> None:
        """Keep them; those that are there by their id stay as they are."""
        ...

    async def find(self, query: AuditQuery) -> list[AuditEvent]:
        """The acts asked for."""
        ...


class Store(AbstractAsyncContextManager["Store"], Protocol):
    """Keeps readings. Entering it makes no connection and does not fail; every call below may raise `StoreUnavailable`."""

    @property
    def quarantine(self) -> QuarantineStore:
        """The messages that were rejected; to be had once the store is entered."""
        ...

    @property
    def devices(self) -> DeviceStore:
        """What is known of devices; likewise."""
        ...

    @property
    def commands(self) -> CommandStore:
        """What was asked of devices; likewise."""
        ...

    @property
    def history(self) -> HistoryStore:
        """What was measured over long times; likewise."""
        ...

    @property
    def users(self) -> UserStore:
        """Who may log in; likewise."""
        ...

    @property
    def keys(self) -> ApiKeyStore:
        """The keys of programs and devices; likewise."""
        ...

    @property
    def sessions(self) -> SessionStore:
        """Who has logged in; likewise."""
        ...

    @property
    def audit(self) -> AuditStore:
        """Who did what; likewise."""
        ...

    async def __aenter__(self) -> Self:
        """Take hold of what is needed; give it back on leaving."""
        ...

    async def prepare(self) -> int:
        """Make tables and indexes, and return the highest `seq` stored (0: none). Safe to repeat."""
        ...

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        """Write all of it and return once it would survive the loss of power.

        Raising `StoreUnavailable` leaves open what was written. The same call again is safe: what is there by the same
        `_id` and the same `seq` counts as stored, by the same `_id` and another `seq` as a duplicate. One document that
        the store refuses for its own sake does not keep the others out.
        """
        ...

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """The readings asked for, by rising `seq`."""
        ...

    async def count(self, query: ReadingsQuery) -> int:
        """How many readings are meant, whatever the limit; an estimate will do when that is all of them."""
        ...

    async def latest(self) -> list[Reading]:
        """The newest reading of each device, by device id."""
        ...

    async def enforce_retention(self) -> RetentionResult:
        """Remove what the settings say is too old or too much, in steps too short to hold up a write. Safe to repeat.

        The first call brings what the database does by itself in step with the settings; `StoreError` if it cannot be.
        """
        ...

    async def put(self, key: str, value: str) -> None:
        """Keep `value` under `key`, over what was there."""
        ...

    async def get_value(self, key: str) -> str | None:
        """What `put` kept last under `key`, also before a restart; None if nothing."""
        ...

    async def put_if_absent(self, key: str, value: str) -> str:
        """Keep `value` under `key` unless something is there; what is there now. Of two at once, both are given the same."""
        ...

    async def ping(self) -> None:
        """Return if the store answers."""
        ...


class KeyValueStore(Protocol):
    """Remembers a few small texts over restarts; both calls may raise `StoreUnavailable`."""

    async def put(self, key: str, value: str) -> None:
        """Keep `value` under `key`."""
        ...

    async def get_value(self, key: str) -> str | None:
        """What was last kept under `key`; None if nothing was."""
        ...


class Publisher(Protocol):
    """Tells whoever listens. It keeps its troubles to itself: nothing a client does may raise here."""

    def publish(self, events: Sequence[Event]) -> None:
        """Send events, in order, to those who want them, without waiting for anyone; what is in them is stored already."""
        ...


class MessageDecoder(Protocol):
    """Tells what a message means."""

    def decode(self, message: Message) -> Decoded:
        """One message to its meaning; raises nothing."""
        ...


class DevicePresence(Protocol):
    """What a way in knows of devices beside their readings. Nothing here waits or raises."""

    def connected(self, device_id: str) -> None:
        """A socket of this device is open."""
        ...

    def disconnected(self, device_id: str) -> None:
        """It has none any more."""
        ...

    def update_state(self, device_id: str, state: Mapping[str, Any]) -> None:
        """The device said this of itself; null takes a key away."""
        ...

    def statuses(self, limit: int) -> list[DeviceStatus]:
        """The present status of each device that has one, those that changed last, at most `limit`; always the same limit."""
        ...


class CommandSender(Protocol):
    """Takes commands for devices."""

    async def submit(self, request: CommandRequest, by: str) -> Command:
        """The command, stored and on its way or in its queue.

        Raises `UnknownDevice`, `CommandRefused` (it is offline, or the id is another command's) and `StoreUnavailable`.
        """
        ...


class Authentication(Protocol):
    """Tells who somebody is. While access is open everybody is `ANYONE`, and nothing is looked at."""

    @property
    def required(self) -> bool:
        """Whether somebody must show who he is."""
        ...

    async def identify(self, shown: str | None, address: str) -> Identity:
        """Who shows this token or key, from this address. Raises `Unauthorized`; `StoreUnavailable` if nobody can tell."""
        ...

    async def identify_device(self, name: str | None, secret: str, address: str) -> Identity:
        """Which device shows its secret or its key; `name` is None where a dialect has none.

        Raises as `identify` does, and `TooManyAttempts` where somebody guesses.
        """
        ...

    def identify_device_while_open(self, name: str | None, secret: str) -> Identity:
        """The device or listener at `/ws/device` while access is open, by the secrets of the settings.

        `name` is None where a protocol has none at login. Raises `Unauthorized`.
        """
        ...

    def is_valid(self, identity: Identity) -> bool:
        """Whether one who was let in may stay: not expired, not taken back. Asked once a second of each live connection."""
        ...


class AuditLog(Protocol):
    """Keeps who did what. Nothing here waits or raises: what cannot be stored now is stored later, within a limit."""

    def record(self, action: str, *, actor: Identity, address: str = "", target: str = "", **details: str) -> None:
        """`act` in a word or two (`login refused`, `command`), `about` the one it was done to. Never a secret."""
        ...


class Source(Protocol):
    """Feeds the intake and settles its messages; `run` goes on until it is cancelled, whatever the other side does."""

    async def run(self) -> None:
        """Connect, receive, reconnect. Cancelling it sends the acknowledgements that are due and leaves politely."""
        ...
