"""Who hears what: takes what the pipeline publishes to every dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.core.events import Event


class Dialect(Protocol):
    """One wire protocol with its connected clients."""

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        ...

    async def send(self, events: Sequence[Event]) -> None:
        """To every client that wants them, in order. A client's troubles end here."""
        ...

    async def close(self) -> None:
        """Take leave of every client."""
        ...


class Hub:
    """The publisher: every dialect hears the same events in the same order."""

    def __init__(self, dialects: Sequence[Dialect] = ()) -> None:
        """Dialects are told one after the other."""
        self._dialects = tuple(dialects)

    @property
    def client_count(self) -> int:
        """Clients connected now, over all dialects."""
        return sum(dialect.client_count for dialect in self._dialects)

    async def publish(self, events: Sequence[Event]) -> None:
        """Send events to those who want them."""
        for dialect in self._dialects:
            await dialect.send(events)

    async def close(self) -> None:
        """Take leave of every client."""
        for dialect in self._dialects:
            await dialect.close()
