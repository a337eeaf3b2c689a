"""The MQTT sessions of a cluster: the right to use one, and the connection of a bridge that receives nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from bridge.core.errors import StoreUnavailable
from bridge.pipeline.backoff import delays
from bridge.pipeline.lease import KeyLease, LeaseHolder
from bridge.ports import SwapStore

_NUMBERED = "#"  # between the owner and the number of its lease
_CONFIRM_SECONDS = (0.1, 2.0)  # the first and the longest delay between attempts while the store is unavailable


class LeasedSession:
    """The right to use an MQTT session: a `SessionLease`, until it is lost or given up."""

    receives = True

    def __init__(self, client_id: str, lease: KeyLease, is_vacant: Callable[[], Awaitable[bool]] | None = None) -> None:
        """`is_vacant` asks the store whether an adopted place still has no holder; None for a session of this bridge."""
        self.client_id = client_id
        self._lease = lease
        self._is_vacant = is_vacant
        self._ended = asyncio.Event()
        self.end_reason = ""

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @property
    def was_lost(self) -> bool:
        """Whether it ended because another bridge took the lease, or ended it."""
        return bool(self._lease.lost_to)

    @property
    def is_fresh(self) -> bool:
        """Whether it was renewed so recently that no other bridge can have it. Messages are acknowledged only then."""
        return not self.has_ended and self._lease.is_fresh

    async def wait_ended(self) -> None:
        await self._ended.wait()

    async def confirm(self) -> bool:
        """Ask the store whether it is still ours, and wait while the store is unavailable."""
        for delay in delays(*_CONFIRM_SECONDS):
            try:
                await self.renew()
            except StoreUnavailable:
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._ended.wait()
            else:
                break
        return not self.has_ended

    async def renew(self) -> None:
        """Renew the lease, or end. Raises `StoreUnavailable`."""
        if self.has_ended:
            return
        if self._is_vacant is not None and not await self._is_vacant():
            self.end("the place has a bridge again")
            return
        await self._lease.renew()
        if self._lease.lost_to:
            self.end(f"lost to {self._lease.lost_to}")

    def end(self, reason: str) -> None:
        if not self.has_ended:
            self.end_reason = reason
            self._ended.set()

    async def release(self, reason: str) -> None:
        """End, and let another bridge have the lease at once. Does not raise."""
        self.end(reason)
        await self._lease.release()


class StandbySession:
    """A connection of a bridge that only publishes, while another one receives: the broker keeps nothing of it."""

    receives = False
    is_fresh = True

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    async def confirm(self) -> bool:
        """Return whether it has not ended."""
        return not self.has_ended

    def end(self) -> None:
        """Close the connection."""
        self._ended.set()


class Observer:
    """Measures how long values have not changed, by the clock of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str | None, float]] = {}
        self.changed: set[str] = set()
        """Keys whose value has changed while it was observed."""

    def unchanged_seconds(self, key: str, value: str | None) -> float:
        """Note the present value of a key; return for how many seconds it has been the same."""
        now = self._clock()
        seen, since = self._seen.get(key, (value, now))
        if seen != value:
            self.changed.add(key)
            since = now
        self._seen[key] = (value, since)
        return now - since

    def reset(self) -> None:
        """Forget all values: what was not observed for a while may have had no chance to change."""
        self._seen.clear()


class SessionLeases:
    """The leases of this bridge on MQTT sessions, and those of other bridges as it observes them."""

    def __init__(self, store: SwapStore, holder: LeaseHolder, seconds: float, clock: Callable[[], float]) -> None:
        """A lease that is not renewed for `seconds` has ended."""
        self._store = store
        self._holder = holder
        self._seconds = seconds
        self._clock = clock
        self._observer = Observer(clock)
        self._observed = clock()
        self._made = 0

    async def unchanged(self, key: str) -> tuple[str | None, float]:
        """Return the value of a key, and for how many seconds it was observed to be the same. Raises `StoreUnavailable`."""
        found = await self._store.get(key)
        now = self._clock()
        if now - self._observed > self._seconds / 2:  # the holders may not have reached the store either
            self._observer.reset()
        self._observed = now
        return found, self._observer.unchanged_seconds(key, found)

    def reset(self) -> None:
        """Forget what was observed."""
        self._observer.reset()

    def has_ended(self, holder: LeaseHolder, unchanged_seconds: float) -> bool:
        return holder.is_gone or unchanged_seconds >= self._seconds

    def is_ours(self, holder: LeaseHolder) -> bool:
        """Whether a lease is one of this bridge, perhaps of an attempt whose answer was lost."""
        return holder.owner.partition(_NUMBERED)[0] == self._holder.owner

    def new(self, key: str) -> KeyLease:
        """A new lease. Its values occur in no other lease: an observer must not take the first one for that of a lost lease."""
        self._made += 1
        holder = replace(self._holder, owner=f"{self._holder.owner}{_NUMBERED}{self._made}")
        return KeyLease(self._store, key, holder, hold_seconds=self._seconds / 2, clock=self._clock)
