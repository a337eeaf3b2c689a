"""This bridge as one of several: what it writes is announced, what the others write is followed, and one of them leads."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bridge.cluster.event_codec import decode_announcement, decode_events, encode_announcements, encode_events
from bridge.cluster.leadership import Leadership
from bridge.cluster.log_reader import LogReader
from bridge.cluster.members import Members, cluster_key
from bridge.cluster.messenger import Messenger
from bridge.cluster.refresher import Refresher
from bridge.cluster.relay import Relay
from bridge.cluster.shared_writer import SharedWriter
from bridge.core.errors import PlaceTaken, StoreUnavailable
from bridge.core.events import Event
from bridge.core.readings.reading import Reading
from bridge.log.follower import Announcement
from bridge.log.order import CursorRange
from bridge.ports import BridgeRecord, KeyValueStore, LogStore, SessionLease

log = logging.getLogger(__name__)

LOG, EVENTS = "log", "events"
"""The kinds of messages of every cluster; other parts have their own."""

RECEIVE = "cluster.receive"
"""The setting that all bridges report: with different values both would receive every message."""

_TAKE_SECONDS = 2.0


class Sessions(Protocol):
    """The MQTT sessions of this bridge: a `Receiver` where one bridge receives, `Places` where all do."""

    @property
    def own(self) -> SessionLease | None:
        """What this bridge connects with."""

    @property
    def receives(self) -> bool:
        """Whether this bridge receives messages now."""

    async def take(self) -> int:
        """Take a session; return the place of this bridge, 0 if it needs none. Raises `PlaceTaken` and `StoreUnavailable`."""

    async def run(self) -> None:
        """Renew leases and watch those of other bridges, until cancelled."""

    async def release(self) -> None:
        """Let other bridges have the sessions at once."""


@dataclass(frozen=True, slots=True)
class ClusterStores:
    order: LogStore
    memory: KeyValueStore


@dataclass(frozen=True, slots=True)
class ClusterLog:
    """The path of readings: written under cursors of the log, and published from it."""

    writer: SharedWriter
    reader: LogReader
    relay: Relay


@dataclass(frozen=True, slots=True)
class ClusterParty:
    """The bridges of the cluster: members, messages between them, MQTT sessions and leadership."""

    members: Members
    messenger: Messenger
    sessions: Sessions
    leadership: Leadership


class Cluster:
    """Joins the parts. `prepare` when the store is prepared, then `run`; `close` at the end."""

    def __init__(self, name: str, stores: ClusterStores, readings: ClusterLog, party: ClusterParty) -> None:
        self._name = name
        self._stores = stores
        self.writer, self.reader, self.relay = readings.writer, readings.reader, readings.relay
        self.members, self.messenger, self.sessions = party.members, party.messenger, party.sessions
        self.leadership = party.leadership
        self._known: frozenset[str] = frozenset()
        self.on_events: Callable[[str, Sequence[Event]], Sequence[Event]] = lambda _bridge, events: events
        """Applies the events of another bridge; returns those that are not outdated."""
        self.on_joined: Callable[[], object] = lambda: None
        """Called when another bridge has joined, which knows nothing of this one yet."""
        self.on_gone: Callable[[str], None] = lambda _bridge: None
        """Called with the id of a bridge that has ended."""
        self.refresher = Refresher()
        """What is read again now and then, in case the bus has lost the message of its change."""
        self.follow_leader: Callable[[], None] = lambda: None
        """Called when this bridge no longer leads."""
        self.receive: Callable[[SessionLease], Awaitable[None]] = lambda lease: lease.wait_ended()
        """Keeps a connection with this bridge's session until its lease has ended."""
        self.receive_adopted: Callable[[], Awaitable[None]] = asyncio.Event().wait  # type: ignore[assignment]
        self.writer.on_written = self._announce
        self.relay.tell = self._tell
        self.members.on_read = self._on_members
        self.messenger.on_unknown = self.members.read_early
        self.messenger.handlers[LOG] = self._on_log
        self.messenger.handlers[EVENTS] = self._on_events

    # --- the log and events ------------------------------------------------------------------------------------------------

    def _announce(self, taken: CursorRange, readings: list[Reading]) -> None:
        """Tell the others before this bridge's own clients: they have the longer way."""
        announcement = Announcement(taken.previous, taken.high, readings)
        if self.messenger.is_connected and len(self._known) > 1:
            for body in encode_announcements(announcement):
                self.messenger.send(LOG, body)
        self.reader.offer(announcement)

    def _on_log(self, _bridge: str, body: bytes) -> None:
        self.reader.offer(decode_announcement(body))

    def _tell(self, events: Sequence[Event]) -> None:
        """Tell the others, also those that have just started, which this bridge does not know yet: they know it."""
        if self.messenger.is_connected:
            for body in encode_events(events):
                self.messenger.send(EVENTS, body)

    def _on_events(self, bridge: str, body: bytes) -> None:
        events = decode_events(body)
        self.relay.receive(lambda: self.on_events(bridge, events))

    def _on_members(self, alive: Mapping[str, BridgeRecord]) -> None:
        opener = self.messenger.opener
        if opener is not None:
            opener.set_members({name: record.number for name, record in alive.items()})
        before, self._known = self._known, frozenset(alive)
        if self._known - before:
            self.on_joined()
        for bridge in before - self._known:
            self.on_gone(bridge)

    def public(self, clients: int) -> dict[str, Any]:
        """Return the state of the cluster as JSON types; this bridge has `clients`."""
        others = [record for name, record in self.members.alive.items() if name != self.members.own.id]
        return {
            "name": self._name,
            "bridge": self.members.own.id,
            "place": self.members.own.place,
            "receives": self.sessions.receives,
            "leads": self.leadership.leads,
            "bridges": len(others) + 1,
            "busConnected": self.messenger.is_connected,
            "connectedClients": clients + sum(int(record.report.get("connectedClients", 0)) for record in others),
        }

    # --- lifetime ----------------------------------------------------------------------------------------------------------

    async def prepare(self) -> int:
        """Join, and return the cursor from which this bridge publishes. Safe to repeat.

        Raises `StoreUnavailable`, `StoreError`, `SettingsError` and `PlaceTaken`.
        """
        await self._stores.order.prepare()
        self.messenger.unlock(await cluster_key(self._stores.memory, self._name))
        await self.members.join()
        await self.members.check_same(RECEIVE)
        if self.sessions.own is None or self.sessions.own.has_ended:
            await self._take_session()
        return await self.reader.begin()

    async def _take_session(self) -> None:
        place = await self.sessions.take()
        self.members.own = replace(self.members.own, place=place)

    async def run(self) -> None:
        """Write, read and talk to the others until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, job in (
                    ("writer", self.writer.run()),
                    ("reader", self.reader.run()),
                    ("bus", self.messenger.run()),
                    ("members", self.members.run()),
                    ("sessions", self.sessions.run()),
                    ("refresh", self.refresher.run()),
                ):
                    tasks.create_task(job, name=f"cluster: {name}")
        finally:
            self.relay.flush()

    async def receive_messages(self) -> None:
        """Keep a connection with the session of this bridge, and with adopted ones, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive_adopted(), name="cluster: adopted sessions")
            while True:
                own = self.sessions.own
                if own is None or own.has_ended:
                    await self._take_session_again()
                else:
                    await self.receive(own)

    async def _receive_adopted(self) -> None:
        await self.receive_adopted()

    async def _take_session_again(self) -> None:
        """Take a session after ours was lost; that of any other place, if ours is now another bridge's."""
        while True:
            try:
                await self._take_session()
            except (PlaceTaken, StoreUnavailable) as error:
                log.warning("cluster: no MQTT session: %s: retrying every %g s", error, _TAKE_SECONDS)
                await asyncio.sleep(_TAKE_SECONDS)
            else:
                return

    async def close(self) -> None:
        """Let the others go on without this bridge at once."""
        await self.writer.close()
        await asyncio.gather(self.sessions.release(), self.members.leave())
