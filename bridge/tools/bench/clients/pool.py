"""Many subscribers of one bridge."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Generic, TypeVar

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import ReceiveBuffer, Stream, Subscriber

S = TypeVar("S", bound=Subscriber)
T = TypeVar("T")

SAMPLED = 50
"""Clients at which latency is measured."""
_CONCURRENT_CONNECTS = 50
_CONNECT_ATTEMPTS = 5
_CHECK_SECONDS = 0.25
_POLL_STEP_SECONDS = 0.005


class SubscriberPool(Generic[S]):
    def __init__(self, name: str, subscribers: list[S], patience: float, receive_buffer: ReceiveBuffer | None = None) -> None:
        """`name` is the bridge's, for messages; the run fails after `patience` seconds without a delivery."""
        self.receive_buffer = receive_buffer or ReceiveBuffer()
        self._name = name
        self._patience = patience
        self.subscribers = subscribers
        self._incomplete = 0
        self._completed_at = 0.0
        self._done = asyncio.Event()

    @classmethod
    async def connect(
        cls,
        subscriber_class: type[S],
        address: Address,
        count: int,
        *,
        name: str,
        patience: float,
        receive_bytes: int | None = None,
    ) -> "SubscriberPool[S]":
        """Connect `count` subscribers. Raises `BridgeError` if one cannot connect."""
        receive_buffer, semaphore = ReceiveBuffer(), asyncio.Semaphore(_CONCURRENT_CONNECTS)

        async def connect() -> S:
            async with semaphore:
                return await subscriber_class.connect(receive_buffer, address, receive_bytes)

        return cls(name, await gather(connect() for _ in range(count)), patience, receive_buffer)

    async def subscribe(self, devices: Sequence[str], rooms: int | None = None) -> None:
        """Subscribe every client to these devices, or each in turn to one of the first `rooms`."""
        selected = [list(devices) if rooms is None else [devices[n % rooms]] for n in range(len(self.subscribers))]
        await gather(client.subscribe(names) for client, names in zip(self.subscribers, selected, strict=True))

    async def poll(self, seconds: float) -> None:
        """Leave `SAMPLED` subscribers to the event loop and read the others once per interval, evenly spread; never returns.

        A read costs 5 to 8 µs in the kernel: with 2,000 clients at 50 readings per second a whole core. The bridge sees no
        difference, because the kernel accepts the data; latency is measured at the sampled subscribers.
        """
        polled = [client for n, client in enumerate(self.subscribers) if not self._is_sampled(n)]
        for client in polled:
            client.pause()
        per_step = math.ceil(len(polled) * _POLL_STEP_SECONDS / seconds)
        while polled:
            for start in range(0, len(polled), per_step):
                for client in polled[start : start + per_step]:
                    client.poll()
                await asyncio.sleep(_POLL_STEP_SECONDS)

    def _is_sampled(self, n: int) -> bool:
        count = len(self.subscribers)
        return count <= SAMPLED or (n + 1) * SAMPLED // count > n * SAMPLED // count

    @property
    def delivered(self) -> int:
        return sum(client.count for client in self.subscribers)

    @property
    def received_bytes(self) -> int:
        return sum(client.received_bytes for client in self.subscribers)

    @property
    def least(self) -> int:
        return min(client.count for client in self.subscribers)

    @property
    def surplus(self) -> int:
        return sum(max(-client.missing, 0) for client in self.subscribers if client.expected)

    def expect(self, readings: int | Sequence[int], streams: Sequence[Stream] = ()) -> None:
        """Expect this many more readings, the same or a number per client; the sampled clients measure `streams` in turn."""
        self._done.clear()
        counts = [readings] * len(self.subscribers) if isinstance(readings, int) else readings
        self._incomplete = sum(count > 0 for count in counts)
        for n, (client, count) in enumerate(zip(self.subscribers, counts, strict=True)):
            if count > 0:
                stream = streams[n % len(streams)] if streams and self._is_sampled(n) else None
                client.expect(count, stream, self._on_client_complete)
        if not self._incomplete:
            self._on_client_complete(perf_counter())

    def _on_client_complete(self, now: float) -> None:
        self._incomplete -= 1
        self._completed_at = now
        if self._incomplete <= 0:
            self._done.set()

    async def complete(self) -> float:
        """Wait until every client has received the expected readings; return the time at which the last one had.

        Raises `BridgeError` if deliveries stop or a client is disconnected.
        """
        delivered, changed = -1, perf_counter()
        while not self._done.is_set():
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._done.wait()
            except TimeoutError:
                if self.delivered != delivered:
                    delivered, changed = self.delivered, perf_counter()
                slowest = max(self.subscribers, key=lambda client: client.missing)
                self._check(slowest.expected - slowest.missing, slowest.expected, perf_counter() - changed)
        return self._completed_at

    async def wait_for(self, readings: int) -> None:
        """Wait until every client has received this many in total. Raises `BridgeError` as `complete` does."""
        before, changed = -1, perf_counter()
        while (least := self.least) < readings:
            if least != before:
                before, changed = least, perf_counter()
            self._check(least, readings, perf_counter() - changed)
            await asyncio.sleep(0.02)

    def _check(self, received: int, expected: int, silent_seconds: float) -> None:
        disconnected = sum(client.disconnected for client in self.subscribers)
        if disconnected:
            raise BridgeError(f"{self._name}: disconnected {disconnected} of {len(self.subscribers)} clients that were reading")
        if silent_seconds > self._patience:
            raise BridgeError(
                f"{self._name}: delivered {received:,} of {expected:,} readings to the slowest of {len(self.subscribers):,} "
                f"clients, then nothing to any of them within {self._patience:g} s"
            )

    def close(self) -> None:
        for client in self.subscribers:
            client.close()


async def connect_with_retries(connect: Callable[[], Awaitable[T]], rng: random.Random) -> tuple[T, int]:
    """Retry as a real client does when the server is busy; return the client and the number of attempts.

    Raises `BridgeError` if the last attempt fails.
    """
    for attempt in range(1, _CONNECT_ATTEMPTS):
        try:
            return await connect(), attempt
        except BridgeError:
            await asyncio.sleep(rng.uniform(0.1, 0.5))
    return await connect(), _CONNECT_ATTEMPTS


async def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = perf_counter() + seconds
    while not (met := condition()) and perf_counter() < deadline:  # noqa: ASYNC110 - counts of many clients
        await asyncio.sleep(0.05)
    return met


async def gather(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order; the first error cancels the others and is raised unwrapped."""
    with unwrap_errors():
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(job, name="bench") for job in jobs]
    return [task.result() for task in running]


@contextmanager
def unwrap_errors() -> Iterator[None]:
    """Raise the first `BridgeError` of an exception group by itself."""
    first: BaseException | None = None
    try:
        yield
    except* BridgeError as group:
        first = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
    if first is not None:
        raise first
