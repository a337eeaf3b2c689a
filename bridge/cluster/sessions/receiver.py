"""Which bridge of a cluster receives by MQTT: one at a time, with the session that a bridge without a cluster has.

The broker keeps the messages of this session while no bridge has it, and the next one receives them: nothing is lost, and the
messages of a device arrive in order. The other bridges have a connection without subscriptions, for what they publish.

The clocks of two machines are never compared, as in `bridge.pipeline.lease`. A bridge that was frozen and continues finds that
another one has the lease. The broker has closed its connection by then, and a message that both received is stored once: its
`_id` is computed from it.

A bridge without a connection to the broker does not receive while another bridge has one.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from bridge.cluster.sessions.lease import LeasedSession, SessionLeases, StandbySession
from bridge.core.errors import StoreUnavailable
from bridge.pipeline.clock import monotonic_seconds
from bridge.pipeline.lease import LeaseHolder, holder_from_text
from bridge.ports import StateStore

log = logging.getLogger(__name__)

_RENEWALS = 5  # within take_over_seconds
_WATCH_SECONDS = 0.25
_ID_CHARACTERS = 8  # of the bridge's id, in the client id of its connection without a session


class BrokerConnections(Protocol):
    """Which bridges are connected to the broker."""

    @property
    def is_connected(self) -> bool:
        """Whether this bridge is."""

    @property
    def others_connected(self) -> bool:
        """Whether another bridge of the cluster says that it is."""


class _Unknown:
    """Not known: each bridge may receive."""

    is_connected = True
    others_connected = False


class Receiver:
    """Whether this bridge receives, and its session. Call `take`, then `run`, and `release` at the end."""

    def __init__(
        self,
        store: StateStore,
        cluster: str,
        client_id: str,
        holder: LeaseHolder,
        *,
        take_over_seconds: float = 5.0,
        connections: BrokerConnections | None = None,
        clock: Callable[[], float] = monotonic_seconds,
    ) -> None:
        """`client_id` is that of the session if this is the first bridge of the cluster; later ones use the same.

        A bridge that does not renew its lease for `take_over_seconds` loses it, and one that has no connection to the broker
        for as long gives it up if another bridge has one. `clock` gives seconds and never goes back.
        """
        self._store = store
        self._key = f"cluster/{cluster}/receiver"
        self._id_key = f"cluster/{cluster}/client-id"
        self._wanted_id = self._client_id = client_id
        self._holder = holder
        self._take_over_seconds = take_over_seconds
        self._watch_seconds = min(_WATCH_SECONDS, take_over_seconds / 10)
        self._connections = connections or _Unknown()
        self._connected = clock()
        self._clock = clock
        self._leases = SessionLeases(store, holder, take_over_seconds, clock)
        self._looking = asyncio.Lock()
        self._receiving: LeasedSession | None = None
        self._standby: StandbySession | None = None

    @property
    def own(self) -> LeasedSession | StandbySession | None:
        """What this bridge connects with now, None before the first `take`. When it has ended, call `take`."""
        return self._receiving or self._standby

    @property
    def receives(self) -> bool:
        """Whether this bridge has the lease, and a connection to the broker."""
        return self._receiving is not None and self._receiving.is_fresh and self._connections.is_connected

    async def take(self) -> int:
        """Receive if no other bridge does, else stand by. Returns 0: no place is needed. Raises `StoreUnavailable`."""
        if self._receiving is not None and self._receiving.has_ended:
            self._stand_by(self._receiving)
        if self._receiving is None:
            await self._read_client_id()
            await self._look()
        if self.own is None:
            self._standby = self._new_standby()
        return 0

    async def run(self) -> None:
        """Renew the lease of this bridge, or watch that of another, until cancelled."""
        while True:
            delay = self._watch_seconds
            try:
                if self._receiving is None:
                    await self._look()
                elif not self._receiving.has_ended:
                    await self._keep(self._receiving)
                    delay = self._take_over_seconds / _RENEWALS
            except StoreUnavailable as error:
                log.debug("cluster: lease of the receiver not read (%s): trying again", error)
            await asyncio.sleep(delay)

    async def release(self) -> None:
        """Let another bridge receive at once, if the store is available. To be called after `run` has ended."""
        if self._receiving is not None:
            await self._receiving.release("this bridge stops")

    async def _keep(self, session: LeasedSession) -> None:
        """Renew the lease, or give it up if this bridge cannot receive and another one can. Raises `StoreUnavailable`."""
        now = self._clock()
        if not self._leaves_it_to_others:
            self._connected = now
        elif now - self._connected > self._take_over_seconds:
            log.warning(
                "cluster: no connection to the broker for %g s, and another bridge has one: it receives instead",
                self._take_over_seconds,
            )
            await session.release("given up: no connection to the broker")
            return
        await session.renew()

    @property
    def _leaves_it_to_others(self) -> bool:
        return not self._connections.is_connected and self._connections.others_connected

    async def _read_client_id(self) -> None:
        """Use the session that the cluster has: another one would not have what waits in it."""
        self._client_id = await self._store.put_if_absent(self._id_key, self._wanted_id)
        if self._client_id != self._wanted_id:
            log.warning(
                "cluster: mqtt.client_id is %s here, but the session of the cluster is %s, which is used: set mqtt.client_id "
                "to that; to change the session, see docs/cluster.md",
                self._wanted_id,
                self._client_id,
            )
            self._wanted_id = self._client_id

    async def _look(self) -> None:
        """Receive from now on if no bridge does, or the one that does has not renewed its lease for too long."""
        async with self._looking:
            is_first = self.own is None  # before its first connection
            if self._receiving is None and (is_first or not self._leaves_it_to_others):
                await self._take_if_ended()

    async def _take_if_ended(self) -> None:
        """Take the lease, unless another bridge has it."""
        found, unchanged = await self._leases.unchanged(self._key)
        holder = holder_from_text(found)
        is_ours = holder is not None and self._leases.is_ours(holder)
        if holder is not None and not is_ours and not self._leases.has_ended(holder, unchanged):
            return
        lease = self._leases.new(self._key)
        if not await lease.take(found):
            return
        if holder is not None and not is_ours:
            log.warning("cluster: %s has ended or hangs: this bridge takes the MQTT session over", holder)
        log.info("cluster: this bridge receives by MQTT, as %s", self._client_id)
        self._connected = self._clock()
        self._receiving, standby = LeasedSession(self._client_id, lease), self._standby
        if standby is not None:
            standby.end()

    def _stand_by(self, ended: LeasedSession) -> None:
        if ended.was_lost:
            log.warning(
                "cluster: the MQTT session %s was %s: this bridge was stopped or cut off from the store for more than %g s; "
                "it stands by",
                self._client_id,
                ended.end_reason,
                self._take_over_seconds,
            )
        self._receiving, self._standby = None, self._new_standby()
        self._leases.reset()

    def _new_standby(self) -> StandbySession:
        return StandbySession(f"{self._wanted_id}-{self._holder.owner[:_ID_CHARACTERS]}")
