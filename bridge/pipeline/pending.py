"""What becomes of the messages of one request: their way back, and the wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from bridge.core.message import Decoded, Message, Outcome

T = TypeVar("T")


class PendingBatch(Generic[T]):
    """The origin of some messages that are waited for together. `packet_id` is the place of a message among them."""

    def __init__(self, count: int, said: Callable[[Message, Outcome, Decoded | None], T]) -> None:
        """`count` messages will be settled; `said` makes of each what is kept of it."""
        self._said = said
        self._results: list[T | None] = [None] * count
        self._left = count
        self._done = asyncio.Event()

    def __len__(self) -> int:
        """How many messages it has."""
        return len(self._results)

    @property
    def results(self) -> list[T]:
        """What became of each, once all are settled."""
        return cast("list[T]", self._results)

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """The last one wakes whoever waits; it is all the same when nobody does any more."""
        self._results[message.packet_id] = self._said(message, outcome, meaning)
        self._left -= 1
        if not self._left:
            self._done.set()

    async def wait(self, seconds: float, closed: asyncio.Event) -> bool:
        """Whether all are settled: waits no longer than `seconds`, nor than anybody settles anything, which `closed` tells."""
        waiters = {asyncio.ensure_future(one.wait()) for one in (self._done, closed)}
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiters:
                one.cancel()
        return not self._left
