"""The bridges of a cluster: each writes a heartbeat into the store and reads those of the others.

Clocks of two machines are never compared: a bridge is alive while its record changes, by the observer's monotonic clock. The
time during which the observer could not read does not count.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from bridge.core.errors import SettingsError, StoreError, StoreUnavailable
from bridge.pipeline.clock import monotonic_seconds
from bridge.ports import BridgeRecord, KeyValueStore, StateStore

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
SILENT_SECONDS = 8.0
"""Without a change for this long, a bridge is not a member any more."""
FORGET_SECONDS = 60.0
CLOCK_LIMIT_SECONDS = 5.0
_EARLY_SECONDS = 1.0  # between two turns, whatever asks for one
_PAUSE_BEATS = 2  # a longer time between two reads was an outage of the store, or of this process
_BRIDGES_LIMIT = 1000
_LEAVE_SECONDS = 1.0
_KEY = re.compile("[0-9a-f]{64}")
_BRIDGE_ID = re.compile("[0-9a-f]{16}")


async def cluster_key(store: KeyValueStore, cluster: str) -> bytes:
    """Return the 32 bytes with which the bridges of a cluster seal messages; the first bridge draws them.

    Raises `StoreUnavailable`, and `StoreError` if the stored value is not a key.
    """
    name = f"cluster/{cluster}/key"
    text = await store.put_if_absent(name, secrets.token_hex(32))
    if not _KEY.fullmatch(text):
        raise StoreError(f"the value of {name} in the store is not 64 hex digits: delete it, and restart all bridges")
    return bytes.fromhex(text)


@dataclass(slots=True)
class _Observed:
    record: BridgeRecord
    changed: float
    """When the record was seen to change, by the monotonic clock."""


class Members:
    """The members of a cluster, as this bridge sees them. Call `join`, then `run`, and at the end `leave`."""

    def __init__(
        self,
        store: StateStore,
        own: BridgeRecord,
        *,
        number: Callable[[], int] = lambda: 0,
        beat_seconds: float = BEAT_SECONDS,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = monotonic_seconds,
    ) -> None:
        """`number` is that of the last message that this bridge sent.

        `clock` and `monotonic` return seconds. Raises `ValueError` if the time between heartbeats is not possible.
        """
        if not beat_seconds > _EARLY_SECONDS:
            raise ValueError(f"{beat_seconds:g} s between heartbeats: must be more than {_EARLY_SECONDS:g}")
        self.own = own
        """The record of this bridge; a change is written with the next heartbeat."""
        self.alive: Mapping[str, BridgeRecord] = {own.id: own}
        """The members by id, this bridge included, as of the last read."""
        self.on_read: Callable[[Mapping[str, BridgeRecord]], None] = lambda _: None
        """Called with `alive` after each read. It must not raise."""
        self.early_reads = 0
        self._store = store
        self._number = number
        self.report: Callable[[], Mapping[str, Any]] = dict
        """What this bridge says of itself with each heartbeat, as JSON types."""
        self._beat_seconds = beat_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._observed: dict[str, _Observed] = {}
        self._last_read: float | None = None
        self._wanted = asyncio.Event()
        self._fault = ""

    async def join(self) -> None:
        """Write the first heartbeat and read the others.

        Raises `SettingsError` if this machine's clock is wrong, and `StoreUnavailable`.
        """
        await self._check_clock()
        await self.beat()

    async def check_same(self, setting: str) -> None:
        """Raise `SettingsError` if a running bridge reports another value of a setting that is the same at all bridges.

        A bridge of another version that does not report it is passed over. Returns at once if all agree; a bridge that may
        have ended is watched until that is known, `SILENT_SECONDS` at most. Raises `StoreUnavailable`.
        """
        own = self.report().get(setting)
        first = {name: one.record.beat for name, one in self._observed.items()}
        while others := [one for name, one in self.alive.items() if one.report.get(setting, own) != own]:
            for one in others:
                if one.beat != first.get(one.id, 0):
                    await self.leave()
                    raise SettingsError(
                        f"{setting} is {own!r} here and {one.report[setting]!r} at the bridge {one.host} pid {one.pid}, which "
                        "runs: stop all bridges, set it to the same value at all of them, and start them"
                    )
            await asyncio.sleep(_EARLY_SECONDS)
            await self.beat()

    async def run(self) -> None:
        """Write and read every `beat_seconds`, and earlier if `read_early` asks; an unavailable store is tried again."""
        while True:
            await self._wait()
            try:
                await self.beat()
            except StoreError as error:
                self._report_fault(str(error))
            else:
                self._report_fault("")

    async def leave(self) -> None:
        """Have the others know at once that this bridge has ended, if the store is available."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._store.bridges.remove(self.own.id)

    def read_early(self) -> None:
        """Read again within a second: a message of an unknown bridge has arrived. Does not wait."""
        if not self._wanted.is_set():
            self.early_reads += 1
            self._wanted.set()

    async def beat(self) -> None:
        """Write our heartbeat, read all, and delete those of bridges that ended long ago. Raises `StoreUnavailable`."""
        self.own = replace(self.own, beat=self.own.beat + 1, number=self._number(), report=self.report())
        await self._store.bridges.save(self.own)
        records = await self._store.bridges.all(_BRIDGES_LIMIT)
        self._observe(records)
        for identity in self._forgotten():
            await self._store.bridges.remove(identity)
            self._observed.pop(identity, None)

    async def _check_clock(self) -> None:
        """The server read its clock between our two readings, so that a slow answer is not taken for a wrong clock."""
        before_ms = self._clock() * 1000
        server_ms = await self._store.server_time_ms()
        after_ms = self._clock() * 1000
        ahead_ms = max(before_ms - server_ms, 0) - max(server_ms - after_ms, 0)
        if abs(ahead_ms) > CLOCK_LIMIT_SECONDS * 1000:
            direction = "ahead of" if ahead_ms > 0 else "behind"
            raise SettingsError(
                f"cluster: the clock of this machine is {abs(ahead_ms) / 1000:.1f} s {direction} that of the store: "
                f"may differ by {CLOCK_LIMIT_SECONDS:g} s; synchronize both by NTP"
            )

    async def _wait(self) -> None:
        await asyncio.sleep(_EARLY_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._beat_seconds - _EARLY_SECONDS):
                await self._wanted.wait()
        self._wanted.clear()

    def _observe(self, records: list[BridgeRecord]) -> None:
        now = self._monotonic()
        self._excuse_pause(now)
        observed = {}
        for record in records:
            if record.id == self.own.id or not _BRIDGE_ID.fullmatch(record.id):
                continue
            earlier = self._observed.get(record.id)
            is_unchanged = earlier is not None and earlier.record == record
            observed[record.id] = earlier if earlier and is_unchanged else _Observed(record, now)
        self._observed = observed
        alive = {name: one.record for name, one in observed.items() if now - one.changed < SILENT_SECONDS}
        self._log_changes(alive)
        self.alive = MappingProxyType({self.own.id: self.own} | alive)
        self.on_read(self.alive)

    def _excuse_pause(self, now: float) -> None:
        """Move the times of all changes forward by a pause: nobody could write while the store was unavailable."""
        pause = 0.0 if self._last_read is None else now - self._last_read
        if pause > _PAUSE_BEATS * self._beat_seconds:
            for one in self._observed.values():
                one.changed += pause - self._beat_seconds
        self._last_read = now

    def _forgotten(self) -> list[str]:
        now = self._monotonic()
        return [name for name, one in self._observed.items() if now - one.changed >= FORGET_SECONDS]

    def _log_changes(self, alive: Mapping[str, BridgeRecord]) -> None:
        before = self.alive.keys() - {self.own.id}
        for name in alive.keys() - before:
            log.info("cluster: bridge %s joined (%s pid %d)", name, alive[name].host, alive[name].pid)
        for name in before - alive.keys():
            how = f"is silent for {SILENT_SECONDS:g} s" if name in self._observed else "left"
            log.info("cluster: bridge %s %s (%s pid %d)", name, how, self.alive[name].host, self.alive[name].pid)

    def _report_fault(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("cluster: heartbeat failed, members stay as they were: %s", fault)
        elif self._fault and not fault:
            log.info("cluster: heartbeats are written again")
        self._fault = fault
