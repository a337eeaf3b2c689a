"""Which bridge of a cluster leads: it decides silence, folds alarms, tells people, and removes old data.

The leader holds the lease of the store, so a bridge outside the cluster neither starts beside it nor stores with it. Readings
need no lease: each cursor is written once, by any bridge.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.pipeline.clock import monotonic_seconds
from bridge.pipeline.lease import KEY, LEASE_SECONDS, RENEW_SECONDS, KeyLease, LeaseHolder, holder_from_text
from bridge.ports import SwapStore

log = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5


class Leadership:
    """In place of `Lease`: `acquire` returns at once if another bridge of the cluster leads, and `run` leads when none does."""

    def __init__(
        self,
        store: SwapStore,
        holder: LeaseHolder,
        *,
        lease_seconds: float = LEASE_SECONDS,
        watch_seconds: float = _WATCH_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        clock: Callable[[], float] = monotonic_seconds,
    ) -> None:
        """`holder.cluster` is the name of the cluster."""
        self._store = store
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._watch_seconds = watch_seconds
        self._renew_seconds = renew_seconds
        self._clock = clock
        self._lease = KeyLease(store, KEY, holder, clock=clock)
        self._watched: str | None = None
        self._since = clock()
        self.lost: StoreInUse | None = None
        """Set once a bridge outside the cluster stores into the same database."""
        self.on_write: Callable[[str | None], None] = lambda _: None
        self.lead: Callable[[], Coroutine[Any, Any, None]] = asyncio.Event().wait  # type: ignore[assignment]
        """Does the work of the leader until cancelled. May raise `StoreUnavailable`, and is called again then."""
        self._is_leading = False

    @property
    def holder(self) -> LeaseHolder:
        """This bridge; `owner` is its id, 16 hexadecimal digits, new at each start."""
        return self._holder

    @property
    def held(self) -> bool:
        """Whether this bridge has the lease, and leads or will do so in a moment."""
        return self._lease.held

    @property
    def leads(self) -> bool:
        """Whether this bridge leads, and nobody else can yet."""
        return self._is_leading and self._lease.is_fresh

    async def acquire(self, waiting: Callable[[str], None]) -> None:
        """Take the lease unless another bridge of the cluster has it.

        That of a bridge outside the cluster is waited for, once with a sentence to `waiting`. Raises `StoreInUse` if that
        bridge renews it, and `StoreUnavailable`.
        """
        first: str | None = None
        while not await self._look():
            text = self._watched
            holder = holder_from_text(text)
            if holder is None or holder.cluster == self._holder.cluster:
                return
            if first is None:
                first = text
                waiting(f"in use by {holder}: waiting until its lease ends (at most {self._lease_seconds:g} s), or stop it")
            elif text != first:
                raise self._in_use(holder)
            await asyncio.sleep(self._watch_seconds)

    async def run(self) -> None:
        """Lead whenever no other bridge does. Returns when a bridge outside the cluster has the lease."""
        while self.lost is None:
            if self._lease.held:
                await self._lead()
                self._lease = KeyLease(self._store, KEY, self._holder, clock=self._clock)
            try:
                await self._follow()
            except StoreUnavailable as error:
                self.on_write(str(error))
                await asyncio.sleep(self._watch_seconds)
            else:
                self.on_write(None)

    async def _follow(self) -> None:
        """Watch the lease until it is ours, or that of a bridge outside the cluster."""
        while not await self._look():
            self.on_write(None)  # the store answers, although another bridge leads
            holder = holder_from_text(self._watched)
            if holder is not None and holder.cluster != self._holder.cluster:
                self.lost = self._in_use(holder)
                return
            await asyncio.sleep(self._watch_seconds)

    async def _look(self) -> bool:
        """Take the lease if it is free or has ended; return whether it is ours."""
        if self._lease.held:
            return True
        found = await self._store.get(KEY)
        now = self._clock()
        if found != self._watched:
            self._watched, self._since = found, now
        holder = holder_from_text(found)
        ended = holder is None or holder.is_gone or now - self._since >= self._lease_seconds
        if not ended or not await self._lease.take(found):
            return False
        if holder is not None:
            log.info("cluster: lease of %s taken over", holder)
        return True

    async def _lead(self) -> None:
        """Do the leader's work, and renew the lease, until another has it."""
        self._is_leading = True
        log.info("cluster: this bridge leads")
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(self._work(), name="cluster: lead")
            while not self._lease.lost_to:
                await asyncio.sleep(self._renew_seconds)
                try:
                    await self._lease.renew()
                except StoreUnavailable as error:
                    self.on_write(str(error))
                else:
                    self.on_write(None)
            self._is_leading = False
            working.cancel()
        log.warning("cluster: this bridge leads no more: the lease was lost to %s", self._lease.lost_to)

    async def _work(self) -> None:
        """Do the leader's work; it begins again if the store is unavailable at its beginning."""
        while True:
            try:
                return await self.lead()
            except StoreUnavailable as error:
                self.on_write(str(error))
                await asyncio.sleep(self._watch_seconds)

    async def confirm(self) -> None:
        """Return at once: several bridges may write, and none overwrites a reading of another."""

    async def release(self) -> None:
        """Let another bridge lead at once."""
        self._is_leading = False
        await self._lease.release()

    def _in_use(self, holder: LeaseHolder) -> StoreInUse:
        return StoreInUse(
            f"store: in use by {holder}, which is not a bridge of the cluster {self._holder.cluster!r}: stop it, or set "
            "cluster.name (BRIDGE_CLUSTER__NAME) there too"
        )
