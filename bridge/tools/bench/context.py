"""Shared by the scenarios: publishers and subscribers of a target, readings at a rate, and measurements."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.pool import SAMPLED, SubscriberPool, unwrap_errors
from bridge.tools.bench.clients.protocols import PROTOCOLS
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.readings import Readings
from bridge.tools.bench.clients.subscriber import Stream, Subscriber
from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult, Figure, UsageSample
from bridge.tools.bench.systems import BenchTarget

S = TypeVar("S", bound=Subscriber)

WARM_UP = 50
_SAMPLE_SECONDS = 0.25
_MAX_AHEAD = 50_000  # readings queued at the broker: enough to keep the bridge busy, below any sensible queue limit
_CHUNK = 5_000
_KERNEL_BUFFER_BYTES = 16 * 1024
_READING_BYTES = 350


class ProgressDisplay(Protocol):
    def phase(self, text: str) -> None: ...

    def progress(self, text: str) -> None:
        """Progress within the phase, a few times per second."""


@dataclass(slots=True)
class LoadMeasurement:
    """A measurement in progress. A scenario may set `until`, the time at which the measured work was complete."""

    bridge_cpu_start: float | None
    bench_cpu_start: float
    samples: list[UsageSample] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)
    until: float | None = None
    seconds: float = 0.0
    deliveries: int = 0
    received_bytes: int = 0


class ScenarioContext:
    def __init__(
        self, scenario: str, target: BenchTarget, load: Load, seed: int, patience: float, display: ProgressDisplay
    ) -> None:
        """The scenario fails after `patience` seconds without a delivery."""
        self.scenario = scenario
        self.target = target
        self.load = load
        self.patience = patience
        self._display = display
        run_id = secrets.token_hex(3)
        self.devices = [f"bench-{run_id}-{n}" for n in range(load.rooms)]
        self._topics = [target.topic(device) for device in self.devices]
        self._readings = Readings(seed)
        self.published = 0

    @property
    def subscriber_class(self) -> type[Subscriber]:
        return PROTOCOLS[self.load.way]

    # --- clients -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[MqttPublisher]:
        publisher = await MqttPublisher.connect(self.target.broker)
        try:
            yield publisher
        finally:
            publisher.close()

    @asynccontextmanager
    async def subscribers(
        self,
        subscriber_class: type[S],
        count: int,
        *,
        rooms: int | None = None,
        receive_bytes: int | None = None,
        polled: bool = False,
    ) -> AsyncIterator[SubscriberPool[S]]:
        """Connect subscribers. With `rooms`, each subscribes to one of that many devices; at a shared bridge, only to ours.

        With `polled`, the event loop reads at most 50 of them, see `SubscriberPool.poll`.
        """
        name, address = self.target.name, self.target.address
        pool = await SubscriberPool.connect(
            subscriber_class, address, count, name=name, patience=self.patience, receive_bytes=receive_bytes
        )
        try:
            if self.target.shared and not subscriber_class.SELECTS_DEVICES:
                raise BridgeError("--way must be socketio on a shared bridge: other clients cannot select the bench's devices")
            if rooms is not None or self.target.shared:
                await pool.subscribe(self.devices, rooms)
            with unwrap_errors():
                async with asyncio.TaskGroup() as tasks:
                    polling = tasks.create_task(pool.poll(self._poll_seconds), name="polls") if polled else None
                    yield pool
                    if polling:
                        polling.cancel()
        finally:
            pool.close()

    @property
    def _poll_seconds(self) -> float:
        """Short enough that the data waiting in the kernel does not make the bridge slow down."""
        return min(max(_KERNEL_BUFFER_BYTES / (self.load.rate * _READING_BYTES), 0.01), 0.25)

    # --- readings ----------------------------------------------------------------------------------------------------

    def _next(self) -> tuple[bytes, bytes]:
        n = self.published
        self.published += 1
        return self._topics[n % len(self._topics)], self._readings[n]

    async def publish(self, publisher: MqttPublisher, count: int, pool: SubscriberPool[Any] | None = None) -> None:
        """Publish as fast as the broker accepts, at most 50,000 readings ahead of the slowest of `pool`."""
        received = pool.least if pool else 0
        for done in range(0, count, _CHUNK):
            if pool:
                await pool.wait_for(received + done - _MAX_AHEAD)
            await publisher.publish_all(self._next() for _ in range(min(_CHUNK, count - done)))

    async def warm_up(self, publisher: MqttPublisher, pool: SubscriberPool[Any]) -> None:
        """Deliver a few readings to every client, so that none receives its first one during the measurement."""
        count = WARM_UP * len(self._topics)
        pool.expect(count)
        await self.publish(publisher, count)
        await pool.complete()

    async def pace(self, publisher: MqttPublisher, streams: list[Stream], count: int) -> None:
        """Publish at the load's rate, devices in turn; record the publish times in `streams`, in turn too."""
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

    # --- measurements ------------------------------------------------------------------------------------------------

    def phase(self, text: str) -> None:
        self._display.phase(f"{self.scenario} · {self.target.name} · {text}")

    @asynccontextmanager
    async def measuring(self, text: str, pool: SubscriberPool[Any]) -> AsyncIterator[LoadMeasurement]:
        self.phase(text)
        measurement = LoadMeasurement(self.target.usage.cpu_seconds(), time.process_time())
        sample = self._sampler(measurement, pool)
        with unwrap_errors():
            async with asyncio.TaskGroup() as tasks:
                sampling = tasks.create_task(self._sample(measurement, sample), name="samples")
                try:
                    yield measurement
                finally:
                    sampling.cancel()
        measurement.samples.append(sample())
        measurement.seconds = (measurement.until or time.perf_counter()) - measurement.start

    async def measure_paced(
        self,
        text: str,
        publisher: MqttPublisher,
        pool: SubscriberPool[Any],
        *,
        by_device: bool = False,
        figures: dict[str, Figure] | None = None,
        part: str = "",
    ) -> BenchResult:
        """Measure latency at the load's rate. With `by_device`, each client receives the readings of one device only."""
        count, latencies, devices = self.load.paced_readings, Latencies(), len(self.devices)
        streams = [Stream([], latencies) for _ in range(devices if by_device else 1)]
        shares = [count // devices + (n < count % devices) for n in range(devices)]
        async with self.measuring(text, pool) as measurement:
            pool.expect([shares[n % devices] for n in range(self.load.clients)] if by_device else count, streams)
            await self.pace(publisher, streams, count)
            measurement.until = await pool.complete()
        return self.result(measurement, pool, count, latencies, figures, part)

    def _sampler(self, measurement: LoadMeasurement, pool: SubscriberPool[Any]) -> Callable[[], UsageSample]:
        usage, published, delivered, received = self.target.usage, self.published, pool.delivered, pool.received_bytes

        def sample() -> UsageSample:
            cpu, cpu_start = usage.cpu_seconds(), measurement.bridge_cpu_start
            measurement.deliveries, measurement.received_bytes = pool.delivered - delivered, pool.received_bytes - received
            return UsageSample(
                time.perf_counter() - measurement.start,
                self.published - published,
                measurement.deliveries,
                None if cpu is None or cpu_start is None else cpu - cpu_start,
                usage.rss_bytes(),
                time.process_time() - measurement.bench_cpu_start,
            )

        return sample

    async def _sample(self, measurement: LoadMeasurement, sample: Callable[[], UsageSample]) -> None:
        clients = f"{self.load.clients:,} clients"
        while True:
            latest = sample()
            measurement.samples.append(latest)
            rates = [(latest.published, "published"), (latest.delivered, "deliveries")]
            text = ", ".join(f"{count:,} {name} ({count / max(latest.at_seconds, 0.1):,.0f}/s)" for count, name in rates)
            self._display.progress(f"{latest.at_seconds:5.1f} s   {clients}   {text}")
            await asyncio.sleep(_SAMPLE_SECONDS)

    def result(
        self,
        measurement: LoadMeasurement,
        pool: SubscriberPool[Any],
        readings: int,
        latencies: Latencies | None = None,
        figures: dict[str, Figure] | None = None,
        part: str = "",
    ) -> BenchResult:
        """Return the result of a measurement. Raises `BridgeError` if a client received more than was published."""
        if pool.surplus:
            raise BridgeError(f"{self.target.name}: {pool.surplus:,} unexpected readings: delivered twice, or of other devices")
        last = measurement.samples[-1]
        return BenchResult(
            scenario=f"{self.scenario}{part}",
            system=self.target.name if self.load.way == "socketio" else f"{self.target.name}, {self.load.way}",
            clients=len(pool.subscribers),
            load=self.load,
            readings=readings,
            seconds=measurement.seconds,
            deliveries=measurement.deliveries,
            received_bytes=measurement.received_bytes,
            bridge_cpu_seconds=last.bridge_cpu_seconds,
            bench_cpu_seconds=last.bench_cpu_seconds,
            latencies=latencies,
            latency_clients=SAMPLED,
            figures=figures or {},
            samples=measurement.samples,
        )
