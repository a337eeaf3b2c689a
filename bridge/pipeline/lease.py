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

    def __str__(self) -> str:
        return f"bridge {self.host} pid {self.pid}"

    @property
    def is_gone(self) -> bool:
        """Whether the process certainly does not exist any more."""
        machine = _machine()
        return bool(machine) and self.machine == machine and _process_start(self.pid) != self.started

    def to_text(self) -> str:
        return json.dumps(asdict(self))


def this_process() -> LeaseHolder:
    """A new holder for this process."""
    pid = os.getpid()
    host = socket.gethostname()[:_FIELD_CHARACTERS]
    return LeaseHolder(secrets.token_hex(8), host, pid, _machine(), _process_start(pid))


def holder_from_text(text: str | None) -> LeaseHolder | None:
    """Inverse of `LeaseHolder.to_text`; None if nobody holds the lease, or the text is not one of a lease."""
    try:
        body = json.loads(text or "null")
        texts = {name: str(body[name])[:_FIELD_CHARACTERS] for name in ("owner", "host", "machine", "started")}
        return LeaseHolder(**texts, pid=int(body["pid"]), renewals=int(body["renewals"]))
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


class Lease:
    """The lease of one store. Call `acquire`, then `run`; `confirm` before each write."""

    def __init__(
        self,
        store: SwapStore,
        holder: LeaseHolder | None = None,
        *,
        clock: Callable[[], float] = monotonic_seconds,
        watch_seconds: float = _WATCH_SECONDS,
    ) -> None:
        """`clock` gives seconds and never goes back."""
        self._store = store
        self._holder = holder or this_process()
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._text: str | None = None
        self._renewed = float("-inf")
        self._lock = asyncio.Lock()
        self.lost: StoreInUse | None = None
        """Set once another bridge has the lease."""
        self.on_write: Callable[[str | None], None] = lambda _: None
        """Called after each renewal by `run`, with the reason if the store was unavailable."""

    @property
    def held(self) -> bool:
        return self._text is not None and self.lost is None

    async def acquire(self, waiting: Callable[[str], None]) -> None:
        """Take the lease, after waiting until that of another bridge has ended; `waiting` is called once with a sentence.

        Raises `StoreInUse` if the other bridge renews it, and `StoreUnavailable`.
        """
        watched: str | None = None
        since = self._clock()
        while True:
            found = await self._store.get(KEY)
            holder = holder_from_text(found)
            ended = holder is None or holder.is_gone or holder.owner == self._holder.owner
            if watched is not None and holder is not None and not ended:
                if found != watched:
                    raise StoreInUse(
                        f"store: in use by {holder}, which renews its lease: stop that bridge, "
                        "or give this one another database with store.url (BRIDGE_STORE__URL)"
                    )
                ended = self._clock() - since >= LEASE_SECONDS
            if ended and await self._swap(found):
                if holder is not None and holder.owner != self._holder.owner:
                    log.info("store: lease of %s taken over", holder)
                return
            if watched is None and not ended:
                watched, since = found, self._clock()
                waiting(f"in use by {holder}: waiting until its lease ends (at most {LEASE_SECONDS:g} s), or stop it")
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
        if self.lost is None and self._clock() - self._renewed > _HOLD_SECONDS:
            await self.renew()
        if self.lost is not None:
            raise StoreUnavailable(str(self.lost))

    async def renew(self) -> None:
        """Renew the lease, or set `lost`. Raises `StoreUnavailable`."""
        async with self._lock:
            if self.lost is not None or await self._swap(self._text):
                return
            found = await self._store.get(KEY)
            holder = holder_from_text(found)
            if holder is not None and holder.owner == self._holder.owner:  # an earlier attempt did get through
                self._text = found
                if await self._swap(found):
                    return
            if found is None and await self._swap(None):  # a bridge that releases it leaves a value: nobody had it meanwhile
                log.warning("store: the lease was removed, perhaps with its table or database: taken again")
                return
            other = holder or "nobody: the lease was removed"
            self.lost = StoreInUse(
                f"store: the lease was lost to {other}: this bridge was stopped or cut off for more than {LEASE_SECONDS:g} s "
                "and stores nothing any more; start it again when the other has ended"
            )

    async def release(self) -> None:
        """Let the next bridge begin at once, if the store is available."""
        text, self._text = self._text, None
        if text is None or self.lost is not None:
            return
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._store.swap(KEY, text, "")

    async def _swap(self, before: str | None) -> bool:
        """Replace the value `before` by our next. Its time counts from before the call, when others may see it."""
        now = self._clock()
        holder = replace(self._holder, renewals=self._holder.renewals + 1)
        if not await self._store.swap(KEY, before, holder.to_text()):
            return False
        self._holder, self._text, self._renewed = holder, holder.to_text(), now
        return True


class LeasedWriter:
    """Writes while the lease is held."""

    def __init__(self, store: ReadingWriter, lease: Lease) -> None:
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

    def __init__(self, store: ReadingEditor, lease: Lease) -> None:
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

    def __init__(self, devices: DeviceStore, lease: Lease) -> None:
        self._devices = devices
        self._lease = lease
        self.all = devices.all
        self.get = devices.get

    async def save(self, devices: Sequence[Device], /) -> None:
        """As `DeviceStore.save`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        await self._devices.save(devices)

    async def remove(self, device_id: str, /) -> bool:
        """As `DeviceStore.remove`; raises `StoreUnavailable` too while the lease is not held."""
        await self._lease.confirm()
        return await self._devices.remove(device_id)
