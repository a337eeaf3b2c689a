"""The seams of the bridge: what the pipeline promises to a part, and what the part promises back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from bridge.core.decode import DeviceStatus, Rejection
from bridge.core.events import Event
from bridge.core.query import Bucket, ReadingsQuery, Written
from bridge.core.reading import Reading


class Store(AbstractAsyncContextManager["Store"], Protocol):
    """Keeps readings. Entering it makes no connection and does not fail; every call below may raise `StoreUnavailable`."""

    async def __aenter__(self) -> Self:
        """Take hold of what is needed; give it back on leaving."""
        ...

    async def prepare(self) -> int:
        """Make tables and indexes, and return the highest `seq` stored (0: none). Safe to repeat."""
        ...

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> Written:
        """Write all of it and return once it would survive the loss of power.

        Raising `StoreUnavailable` leaves open what was written. The same call again is safe: what is there by the same
        `_id` and the same `seq` counts as stored, by the same `_id` and another `seq` as a duplicate. One document that
        the store refuses for its own sake does not keep the others out.
        """
        ...

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """The readings asked for, by rising `seq`."""
        ...

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        """The readings asked for, in short: by device and by spans of `every_ms`, by rising time; at most `query.limit`."""
        ...

    async def latest(self) -> list[Reading]:
        """The newest reading of each device, by device id."""
        ...

    async def ping(self) -> None:
        """Return if the store answers."""
        ...


class Publisher(Protocol):
    """Tells whoever listens. It keeps its troubles to itself: nothing a client does may raise here."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Send events, in order, to those who want them; what is in them is stored already."""
        ...


class Source(Protocol):
    """Feeds the intake and settles its messages; `run` goes on until it is cancelled, whatever the other side does."""

    async def run(self) -> None:
        """Connect, receive, reconnect. Cancelling it sends the acknowledgements that are due and leaves politely."""
        ...
