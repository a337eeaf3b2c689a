"""Many subscribers at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Generic, TypeVar

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import ReceiveBuffer, Stream, Subscriber

S = TypeVar("S", bound=Subscriber)
T = TypeVar("T")

_AT_ONCE = 50  # connections being made
_LOOK_SECONDS = 0.25
_STEP_SECONDS = 0.005
WATCHED = 50


class Crowd(Generic[S]):
    """Clients of one bridge. What they wait for, they wait for together."""

    def __init__(self, name: str, subscribers: list[S], patience: float, arena: ReceiveBuffer | None = None) -> None:
        """`name` is the bridge's, for messages; `patience` in seconds is how long nothing may come."""
        self.arena = arena or ReceiveBuffer()
        self._name = name
        self._patience = patience
        self.subscribers = subscribers
        self._waiting = 0
        self._last = 0.0
        self._done = asyncio.Event()

    @classmethod
    async def connect(
        cls,
        kind: type[S],
        address: Address,
        count: int,
        *,
        name: str,
        patience: float,
        receive_bytes: int | None = None,
    ) -> Crowd[S]:
        """`count` of a kind. Raises `BridgeError` when one cannot connect."""
        arena, limiter = ReceiveBuffer(), asyncio.Semaphore(_AT_ONCE)

        async def one() -> S:
            async with limiter:
                return await kind.connect(arena, address, receive_bytes)

        return cls(name, await together([one() for _ in range(count)]), patience, arena)

    async def subscribe(self, devices: Sequence[str], rooms: int | None = None) -> None:
        """All to all of these devices, or by turns each to one of the first `rooms`."""
        own = [list(devices) if rooms is None else [devices[n % rooms]] for n in range(len(self.subscribers))]
        await together([one.subscribe(names) for one, names in zip(self.subscribers, own, strict=True)])

    async def look(self, seconds: float) -> None:
        """For ever: leave `WATCHED` of many to the loop, and read the others once in so many seconds, evenly spread.

        A read costs 5-8 µs in the kernel: of 2,000 clients at 50 readings a second all of a core. The bridge notices no
        difference, for the kernel takes what comes; and those that are read at once stand for all in latency.
        """
        rare = [one for n, one in enumerate(self.subscribers) if not self._is_watched(n)]
        for one in rare:
            one.read_rarely()
        at_once = math.ceil(len(rare) * _STEP_SECONDS / seconds)
        while rare:
            for start in range(0, len(rare), at_once):
                for one in rare[start : start + at_once]:
                    one.look()
                await asyncio.sleep(_STEP_SECONDS)

    def _is_watched(self, n: int) -> bool:
        count = len(self.subscribers)
        return count <= WATCHED or (n + 1) * WATCHED // count > n * WATCHED // count

    def _of_watched(self, streams: Sequence[Stream], n: int) -> Stream | None:
        return streams[n % len(streams)] if streams and self._is_watched(n) else None

    @property
    def delivered(self) -> int:
        """Readings that came, over all."""
        return sum(one.count for one in self.subscribers)

    @property
    def received_bytes(self) -> int:
        """Of all."""
        return sum(one.received_bytes for one in self.subscribers)

    @property
    def least(self) -> int:
        """Readings of the client that has the fewest."""
        return min(one.count for one in self.subscribers)

    @property
    def surplus(self) -> int:
        """Readings that came beyond what was expected, where anything was."""
        return sum(max(-one.missing, 0) for one in self.subscribers if one.expected)

    def expect(self, readings: int | Sequence[int], streams: Sequence[Stream] = ()) -> None:
        """So many more at each, or a number for each; latencies by turns of `streams`, of those that are read at once."""
        self._done.clear()
        counts = [readings] * len(self.subscribers) if isinstance(readings, int) else readings
        self._waiting = sum(count > 0 for count in counts)
        for n, (one, count) in enumerate(zip(self.subscribers, counts, strict=True)):
            if count > 0:
                one.expect(count, self._of_watched(streams, n), self._reached)
        if not self._waiting:
            self._reached(perf_counter())

    def _reached(self, now: float) -> None:
        self._waiting -= 1
        self._last = now
        if self._waiting <= 0:
            self._done.set()

    async def complete(self) -> float:
        """The moment the last of them had all. Raises `BridgeError` when nothing comes any more, or a client is cut."""
        delivered, changed = -1, perf_counter()
        while not self._done.is_set():
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._done.wait()
            except TimeoutError:
                if self.delivered != delivered:
                    delivered, changed = self.delivered, perf_counter()
                late = max(self.subscribers, key=lambda one: one.missing)
                self._check(late.expected - late.missing, late.expected, perf_counter() - changed)
        return self._last

    async def has(self, readings: int) -> None:
        """Until each has so many in all. Raises `BridgeError` as `complete`."""
        least, changed = -1, perf_counter()
        while (now_least := self.least) < readings:
            if now_least != least:
                least, changed = now_least, perf_counter()
            self._check(now_least, readings, perf_counter() - changed)
            await asyncio.sleep(0.02)

    def _check(self, have: int, want: int, silent_seconds: float) -> None:
        lost = sum(one.lost for one in self.subscribers)
        if lost:
            raise BridgeError(f"{self._name}: cut off {lost} of {len(self.subscribers)} clients that were reading")
        if silent_seconds > self._patience:
            raise BridgeError(
                f"{self._name}: delivered {have:,} of {want:,} readings to the slowest of {len(self.subscribers):,} clients, "
                f"then nothing to any of them within {self._patience:g} s"
            )

    def close(self) -> None:
        """All at once."""
        for one in self.subscribers:
            one.close()


async def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in time."""
    deadline = perf_counter() + seconds
    while not (now := true()) and perf_counter() < deadline:  # noqa: ASYNC110 - counts that come from many
        await asyncio.sleep(0.05)
    return now


async def together(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, in order; the first error ends the others and is raised as it is."""
    with plain_errors():
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(job, name="bench") for job in jobs]
    return [one.result() for one in running]


@contextmanager
def plain_errors() -> Iterator[None]:
    """A `BridgeError` out of a group of tasks is raised by itself."""
    first: BaseException | None = None
    try:
        yield
    except* BridgeError as group:
        first = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
    if first is not None:
        raise first
