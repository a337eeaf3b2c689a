"""The events of a cluster: those of this bridge are told to the others, and those of the others enter the chain of publishers.

Readings enter the chain from the log, the same at every bridge, so what publishers derive from them is not told to others.
Every other event is, if its kind is in `SHARED`.

While readings follow each other closely, those of all bridges are published together every `PACE_SECONDS`: a publication costs
0.1 ms and a write for each client, nearly as much for one reading as for ten.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bridge.cluster.event_codec import SHARED
from bridge.core.events import Event
from bridge.core.readings.reading import Reading
from bridge.pipeline.intake import LARGE
from bridge.ports import Publisher

PACE_SECONDS = 0.01
"""Under load, between two batches of a bridge in a cluster and between two publications of readings. A reading that comes later
after the one before it is stored and published at once."""


class Relay:
    """The first publisher of the chain; `outgoing` is the last one before the hub."""

    next: Publisher

    def __init__(self) -> None:
        self.tell: Callable[[Sequence[Event]], None] = lambda _events: None
        """Receives the events that other bridges are to be told of."""
        self.entry: Publisher = self
        """Where the events of other bridges enter the chain: after the publishers that they come from."""
        self.outgoing = _Outgoing(self)
        self._is_derived = False
        self._gathered: list[Reading] = []
        self._published_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def publish(self, events: Sequence[Event]) -> None:
        """Publish what this bridge received. Its readings come from the log."""
        others = [event for event in events if type(event) is not Reading]
        if others:
            self.flush()
            self.next.publish(others)

    @property
    def is_deriving(self) -> bool:
        """Whether what is published now follows from the log or from another bridge."""
        return self._is_derived

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Publish readings from the log: now, or together with the next ones if the last were published just now."""
        self._gathered += readings
        early = self._published_at + PACE_SECONDS - time.monotonic()
        if early <= 0 or len(self._gathered) >= LARGE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(early, self.flush)

    def flush(self) -> None:
        """Publish the readings that were gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        readings, self._gathered = self._gathered, []
        if readings:
            self._published_at = time.monotonic()
            with self._deriving():
                self.next.publish(readings)

    def receive(self, applied: Callable[[], Sequence[Event]]) -> None:
        """Apply what another bridge received or decided, and publish what is returned."""
        self.flush()
        with self._deriving():
            if events := applied():
                self.entry.publish(events)

    @contextmanager
    def _deriving(self) -> Iterator[None]:
        self._is_derived = True
        try:
            yield
        finally:
            self._is_derived = False

    def tell_others(self, events: Sequence[Event]) -> None:
        if not self._is_derived and (shared := [event for event in events if type(event) in SHARED]):
            self.tell(shared)


class _Outgoing:
    next: Publisher

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def publish(self, events: Sequence[Event]) -> None:
        self._relay.tell_others(events)
        self.next.publish(events)
