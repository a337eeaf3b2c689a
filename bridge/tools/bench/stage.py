"""What every scenario stands on: publishers and clients of one target, the load's readings, and the meter."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.crowd import Crowd, plain_errors
from bridge.tools.bench.clients.plain import WAYS
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.readings import Readings
from bridge.tools.bench.clients.subscriber import Stream, Subscriber
from bridge.tools.bench.load import Load
from bridge.tools.bench.meter import Meter
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Figure, UsageSample
from bridge.tools.bench.systems import BenchTarget

S = TypeVar("S", bound=Subscriber)

WARM_UP = 50
_SAMPLE_SECONDS = 0.25
_AHEAD = 50_000  # readings that may wait at the broker: enough to keep the bridge busy, less than any sane queue limit
_CHUNK = 5_000
_WAITING_BYTES = 16 * 1024
_READING_BYTES = 350


class Screen(Protocol):
    """Who watches."""

    def phase(self, text: str) -> None:
        """Something begins."""
        ...

    def progress(self, text: str) -> None:
        """How it goes; a few times a second."""
        ...


class Stage:
    """One target under one load."""

    def __init__(self, scenario: str, target: BenchTarget, load: Load, seed: int, patience: float, screen: Screen) -> None:
        """`patience` in seconds is how long nothing may come before that is an error."""
        self.scenario = scenario
        self.target = target
        self.load = load
        self.patience = patience
        self._screen = screen
        name = secrets.token_hex(3)
        self.devices = [f"bench-{name}-{n}" for n in range(load.rooms)]
        self._topics = [target.topic(device) for device in self.devices]
        self._readings = Readings(seed)
        self.published = 0

    @property
    def subscribers(self) -> type[Subscriber]:
        """The kind of client that the load asks for."""
        return WAYS[self.load.way]

    # --- who takes part ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[MqttPublisher]:
        """Connected to the target's broker."""
        publisher = await MqttPublisher.connect(self.target.broker)
        try:
            yield publisher
        finally:
            publisher.close()

    @asynccontextmanager
    async def crowd(
        self, kind: type[S], count: int, *, rooms: int | None = None, receive_bytes: int | None = None, paced: bool = False
    ) -> AsyncIterator[Crowd[S]]:
        """Clients of a kind. With `rooms` each subscribes to one of so many devices; at a shared bridge to ours only.

        With `paced` not more than 50 are read at once, see `Crowd.look`.
        """
        name, address = self.target.name, self.target.address
        crowd = await Crowd.connect(kind, address, count, name=name, patience=self.patience, receive_bytes=receive_bytes)
        try:
            if self.target.shared and not kind.CHOOSES:
                raise BridgeError("on a bridge that others use, only Socket.IO clients hear our devices alone")
            if rooms is not None or self.target.shared:
                await crowd.subscribe(self.devices, rooms)
            with plain_errors():
                async with asyncio.TaskGroup() as tasks:
                    looking = tasks.create_task(crowd.look(self._look_seconds), name="looks") if paced else None
                    yield crowd
                    if looking:
                        looking.cancel()
        finally:
            crowd.close()

    @property
    def _look_seconds(self) -> float:
        """So that no more waits in the kernel than it takes without telling the bridge to slow down."""
        return min(max(_WAITING_BYTES / (self.load.rate * _READING_BYTES), 0.01), 0.25)

    # --- readings ----------------------------------------------------------------------------------------------------

    def _next(self) -> tuple[bytes, bytes]:
        n = self.published
        self.published += 1
        return self._topics[n % len(self._topics)], self._readings[n]

    async def publish(self, publisher: MqttPublisher, count: int, crowd: Crowd[Any] | None = None) -> None:
        """As fast as the broker takes them, but no more than 50,000 ahead of the slowest of `crowd`."""
        ahead = crowd.least if crowd else 0
        for done in range(0, count, _CHUNK):
            if crowd:
                await crowd.has(ahead + done - _AHEAD)
            await publisher.publish_all(self._next() for _ in range(min(_CHUNK, count - done)))

    async def warm_up(self, publisher: MqttPublisher, crowd: Crowd[Any]) -> None:
        """A few readings to all; so the first measured one is nobody's first."""
        count = WARM_UP * len(self._topics)
        crowd.expect(count)
        await self.publish(publisher, count)
        await crowd.complete()

    def streams(self, latencies: Latencies) -> list[Stream]:
        """One for each device."""
        return [Stream([], latencies) for _ in self.devices]

    async def pace(self, publisher: MqttPublisher, streams: list[Stream], count: int) -> None:
        """At the load's rate, by turns of the devices; each stream, by turns too, notes when."""
        start, rate, done = time.perf_counter(), self.load.rate, 0
        while done < count:
            due = min(int((time.perf_counter() - start) * rate) + 1, count)
            for n in range(done, due):
                topic, payload = self._next()
                streams[n % len(streams)].sent.append(time.perf_counter())
                publisher.publish(topic, payload)
            done = due
            await asyncio.sleep(max(start + done / rate - time.perf_counter(), 0))
        await publisher.settled()

    # --- the meter ---------------------------------------------------------------------------------------------------

    def phase(self, text: str) -> None:
        """Tell who watches."""
        self._screen.phase(f"{self.scenario} · {self.target.name} · {text}")

    @asynccontextmanager
    async def measuring(self, text: str, crowd: Crowd[Any]) -> AsyncIterator[Meter]:
        """Samples while the body runs; CPU, time and counts at its end."""
        self.phase(text)
        meter = Meter((self.target.usage.cpu_seconds(), time.process_time()), [])
        sample = self._sampler(meter, crowd)
        with plain_errors():
            async with asyncio.TaskGroup() as tasks:
                sampling = tasks.create_task(self._watch(meter, sample), name="samples")
                try:
                    yield meter
                finally:
                    sampling.cancel()
        last = sample()
        meter.samples.append(last)
        meter.seconds = (meter.until or time.perf_counter()) - meter.start
        meter.bridge_cpu_seconds, meter.bench_cpu_seconds = last.bridge_cpu_seconds, last.bench_cpu_seconds

    def _sampler(self, meter: Meter, crowd: Crowd[Any]) -> Callable[[], UsageSample]:
        usage, published, delivered, received = self.target.usage, self.published, crowd.delivered, crowd.received_bytes
        bridge, bench = meter.usage

        def sample() -> UsageSample:
            cpu = usage.cpu_seconds()
            meter.deliveries, meter.received_bytes = crowd.delivered - delivered, crowd.received_bytes - received
            return UsageSample(
                time.perf_counter() - meter.start,
                self.published - published,
                meter.deliveries,
                None if cpu is None or bridge is None else cpu - bridge,
                usage.rss_bytes(),
                time.process_time() - bench,
            )

        return sample

    async def _watch(self, meter: Meter, sample: Callable[[], UsageSample]) -> None:
        clients = f"{self.load.clients:,} clients"
        while True:
            meter.samples.append(sample())
            past = meter.samples[-1]
            rates = [(past.published, "published"), (past.delivered, "deliveries")]
            shown = ", ".join(f"{count:,} {what} ({count / max(past.at_seconds, 0.1):,.0f}/s)" for count, what in rates)
            self._screen.progress(f"{past.at_seconds:5.1f} s   {clients}   {shown}")
            await asyncio.sleep(_SAMPLE_SECONDS)

    def measurement(
        self,
        meter: Meter,
        crowd: Crowd[Any],
        readings: int,
        latencies: Latencies | None = None,
        figures: dict[str, Figure] | None = None,
        part: str = "",
    ) -> BenchResult:
        """A row. Raises `BridgeError` when a client had more than was published."""
        if crowd.surplus:
            raise BridgeError(
                f"{self.target.name}: {crowd.surplus:,} readings came that were not expected: twice, or of others"
            )
        return BenchResult(
            scenario=f"{self.scenario}{part}",
            system=self.target.name if self.load.way == "socketio" else f"{self.target.name}, {self.load.way}",
            clients=len(crowd.subscribers),
            load=self.load,
            readings=readings,
            seconds=meter.seconds,
            deliveries=meter.deliveries,
            received_bytes=meter.received_bytes,
            bridge_cpu_seconds=meter.bridge_cpu_seconds,
            bench_cpu_seconds=meter.bench_cpu_seconds,
            latencies=latencies,
            figures=figures or {},
            samples=meter.samples,
        )
