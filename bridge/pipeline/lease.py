"""One bridge at a time stores into a database: the lease that it holds, takes over, and stops storing without.

The lease is a value in the store that its holder replaces every few seconds. The clocks of two machines are never compared: a
lease has ended when its value did not change for `LEASE_SECONDS` while another bridge watched it, by that bridge's monotonic
clock. The holder stops storing well before, unless it can renew. If the process of a holder on the same machine is gone, its
lease is taken over at once.
"""

import asyncio
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from bridge.core.devices.device import Device
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.query import WriteResult
from bridge.core.readings.reading import Reading
from bridge.pipeline.clock import monotonic_seconds
from bridge.ports import DeviceStore, ReadingEditor, ReadingWriter, SwapStore

log = logging.getLogger(__name__)

KEY = "lease"
LEASE_SECONDS = 15.0
RENEW_SECONDS = 3.0
_HOLD_SECONDS = 8.0
"""A holder writes this long after it last renewed. With the time of a write in progress that is less than `LEASE_SECONDS`."""
_WATCH_SECONDS = 0.25
_RELEASE_SECONDS = 1.0
_FIELD_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """A bridge. `machine` is the same in two processes that see each other's process ids, empty if that is unknown."""

    owner: str
    host: str
    pid: int
    machine: str = ""
    started: str = ""
    """Tells a process from a later one with the same id; empty if that is unknown."""
    renewals: int = 0
    cluster: str = ""
    """The name of the cluster that the bridge belongs to; empty if it is alone."""

    def __str__(self) -> str:
        return f"bridge {self.host} pid {self.pid}" + (f" of the cluster {self.cluster!r}" if self.cluster else "")

    @property
    def is_gone(self) -> bool:
        """Whether the process certainly does not exist any more."""
        machine = _machine()
        return bool(machine) and self.machine == machine and _process_start(self.pid) != self.started

    def to_text(self) -> str:
        return json.dumps(asdict(self))


def this_process(cluster: str = "") -> LeaseHolder:
    """A new holder for this process."""
    pid = os.getpid()
    host = socket.gethostname()[:_FIELD_CHARACTERS]
    return LeaseHolder(secrets.token_hex(8), host, pid, _machine(), _process_start(pid), cluster=cluster)


def holder_from_text(text: str | None) -> LeaseHolder | None:
    """Inverse of `LeaseHolder.to_text`; None if nobody holds the lease, or the text is not one of a lease."""
    try:
        body = json.loads(text or "null")
        texts = {name: str(body[name])[:_FIELD_CHARACTERS] for name in ("owner", "host", "machine", "started")}
        cluster = str(body.get("cluster", ""))[:_FIELD_CHARACTERS]
        return LeaseHolder(**texts, pid=int(body["pid"]), renewals=int(body["renewals"]), cluster=cluster)
    except (ValueError, TypeError, KeyError):
        return None


def _machine() -> str:
    """Boot and namespace of process ids: containers with the same host name have their own."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip() + f" {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _process_start(pid: int) -> str:
    """When a process started, in ticks since the boot; empty if it does not exist or has ended and waits for its parent."""
    with suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    return ""


class KeyLease:
    """A value of the store that one process at a time holds, by replacing it regularly. Calls may raise `StoreUnavailable`.

    An observer sees that the holder is alive when the value changes, and ends the lease by replacing it.
    """

    def __init__(
        self,
        store: SwapStore,
        key: str,
        holder: LeaseHolder | None = None,
        *,
        hold_seconds: float = _HOLD_SECONDS,
        clock: Callable[[], float] = monotonic_seconds,
    ) -> None:
        """`hold_seconds` after its last renewal a lease is not `fresh` any more. `clock` gives seconds and never goes back."""
        self._store = store
        self._key = key
        self._holder = holder or this_process()
        self._hold_seconds = hold_seconds
        self._clock = clock
        self._text: str | None = None
        self._renewed = float("-inf")
        self._lock = asyncio.Lock()
        self.lost_to = ""
        """Set once another process has replaced the value: the new holder in words."""

    @property
    def held(self) -> bool:
        return self._text is not None and not self.lost_to

    @property
    def is_fresh(self) -> bool:
        """Whether the lease was renewed so recently that no observer can have ended it."""
        return self.held and self._clock() - self._renewed <= self._hold_seconds

    def is_ours(self, holder: LeaseHolder) -> bool:
        return holder.owner == self._holder.owner

    async def take(self, found: str | None) -> bool:
        """Replace the value `found`, which is free or has ended; return False if it has changed meanwhile."""
        return await self._swap(found)

    async def renew(self) -> None:
        """Renew the lease, or set `lost_to`."""
        async with self._lock:
            if self.lost_to or await self._swap(self._text):
                return
            found = await self._store.get(self._key)
            holder = holder_from_text(found)
            if holder is not None and self.is_ours(holder):  # an earlier attempt did get through
                self._text = found
                if await self._swap(found):
                    return
            if found is None and await self._swap(None):  # a bridge that releases it leaves a value: nobody had it meanwhile
                log.warning("store: the lease was removed, perhaps with its table or database: taken again")
                return
            self.lost_to = str(holder or ("nobody: the lease was removed" if found is None else "nobody: the lease was ended"))

    async def release(self) -> None:
        """Let the next process have the lease at once, if the store is available. Does not raise."""
        text, self._text = self._text, None
        if text is None or self.lost_to:
            return
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                if await self._store.swap(self._key, text, ""):
                    return
                found = await self._store.get(self._key)  # a renewal that was cancelled may have got through
                holder = holder_from_text(found)
                if holder is not None and self.is_ours(holder):
                    await self._store.swap(self._key, found, "")

    async def _swap(self, before: str | None) -> bool:
        """Replace the value `before` by our next. Its time counts from before the call, when others may see it."""
        now = self._clock()
        holder = replace(self._holder, renewals=self._holder.renewals + 1)
        if not await self._store.swap(self._key, before, holder.to_text()):
            return False
        self._holder, self._text, self._renewed = holder, holder.to_text(), now
        return True


class Lease:
    """The lease of one store. Call `acquire`, then `run`; `confirm` before each write."""

    def __init__(
        self,
        store: SwapStore,
        holder: LeaseHolder | None = None,
        *,
        wait_seconds: float = 0.0,
        clock: Callable[[], float] = monotonic_seconds,
        watch_seconds: float = _WATCH_SECONDS,
    ) -> None:
        """`wait_seconds` is how long `acquire` waits for a bridge that renews its lease. `clock` gives seconds and never goes
        back.
        """
        self._store = store
        self._lease = KeyLease(store, KEY, holder, clock=clock)
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._watch_seconds = watch_seconds
        self.lost: StoreInUse | None = None
        """Set once another bridge has the lease."""
        self.on_write: Callable[[str | None], None] = lambda _: None
        """Called after each renewal by `run`, with the reason if the store was unavailable."""

    @property
    def held(self) -> bool:
        return self._lease.held

    async def acquire(self, waiting: Callable[[str], None]) -> None:
        """Take the lease, after waiting until that of another bridge has ended; `waiting` is called once with a sentence.

        Raises `StoreInUse` if the other bridge renews it after `wait_seconds`, and `StoreUnavailable`.
        """
        watched: str | None = None
        began = since = self._clock()
        while True:
            found = await self._store.get(KEY)
            holder = holder_from_text(found)
            ended = holder is None or holder.is_gone or self._lease.is_ours(holder)
            if watched is not None and holder is not None and not ended:
                if found != watched and self._clock() - began < self._wait_seconds:
                    watched, since = found, self._clock()
                elif found != watched:
                    raise StoreInUse(
                        f"store: in use by {holder}, which renews its lease: stop that bridge, "
                        "or give this one another database with store.url (BRIDGE_STORE__URL)"
                    )
                ended = self._clock() - since >= LEASE_SECONDS
            if ended and await self._lease.take(found):
                if holder is not None and not self._lease.is_ours(holder):
                    log.info("store: lease of %s taken over", holder)
                return
            if watched is None and not ended:
                watched, since = found, self._clock()
                seconds = max(LEASE_SECONDS, self._wait_seconds)
                waiting(f"in use by {holder}: waiting until its lease ends (at most {seconds:g} s), or stop it")
            await asyncio.sleep(self._watch_seconds)

    async def run(self) -> None:
        """Renew the lease until it is lost; an unavailable store is tried again."""
        while self.lost is None:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.renew()
            except StoreUnavailable as error:
                self.on_write(str(error))
            else:
                self.on_write(None)

    async def confirm(self) -> None:
        """Return if the lease is held; renew it first if it was not renewed for long. Raises `StoreUnavailable`."""
        if self.lost is None and not self._lease.is_fresh:
            await self.renew()
        if self.lost is not None:
            raise StoreUnavailable(str(self.lost))

    async def renew(self) -> None:
        """Renew the lease, or set `lost`. Raises `StoreUnavailable`."""
        await self._lease.renew()
        if self._lease.lost_to and self.lost is None:
            self.lost = StoreInUse(
                f"store: the lease was lost to {self._lease.lost_to}: this bridge was stopped or cut off for more than "
                f"{LEASE_SECONDS:g} s and stores nothing any more; start it again when the other has ended"
            )

    async def release(self) -> None:
        """Let the next bridge begin at once, if the store is available."""
        await self._lease.release()


class WritePermit(Protocol):
    async def confirm(self) -> None:
        """Return if this bridge may write. Raises `StoreUnavailable`."""


class LeasedWriter:
    """Writes while the lease is held."""

    def __init__(self, store: ReadingWriter, lease: WritePermit) -> None:
        self._store = store
        self._lease = lease

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        """As `ReadingWriter.write`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        return await self._store.write(readings, rejections, statuses)


class LeasedEditor:
    """Corrections of readings, which are written while the lease is held."""

    def __init__(self, store: ReadingEditor, lease: WritePermit) -> None:
        self._store = store
        self._lease = lease
        self.reading = store.reading
        self.latest = store.latest

    async def replace(self, before: Reading, after: Reading | None, /) -> bool:
        """As `ReadingEditor.replace`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        return await self._store.replace(before, after)


class LeasedDevices:
    """The devices of the registry, which are written while the lease is held: the registry of a bridge that lost it is old."""

    def __init__(self, devices: DeviceStore, lease: WritePermit) -> None:
        self._devices = devices
        self._lease = lease
        self.all = devices.all
        self.get = devices.get

    async def save(self, devices: Sequence[Device], /) -> None:
        """As `DeviceStore.save`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        await self._devices.save(devices)

    async def save_state(self, devices: Sequence[Device], /) -> None:
        """As `DeviceStore.save_state`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        await self._devices.save_state(devices)

    async def remove(self, device_id: str, /) -> bool:
        """As `DeviceStore.remove`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        return await self._devices.remove(device_id)
