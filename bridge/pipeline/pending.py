"""The messages of one request, and the wait for their outcomes."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from bridge.core.message import Decoded, Message, Outcome

T = TypeVar("T")


class PendingBatch(Generic[T]):
    """The origin of messages that are awaited together; the `packet_id` of a message is its index among them.

    A batch may be remembered for a day, so a complete one holds nothing but its results: an event alone takes 0.7 KB.
    """

    __slots__ = ("_done", "_open", "_results", "_to_result")

    def __init__(self, count: int, to_result: Callable[[Message, Outcome, Decoded | None], T]) -> None:
        """`to_result` is called for each acknowledged message; its return values are the `results`."""
        self._to_result = to_result
        self._results: list[T | None] = [None] * count
        self._open = count
        self._done: asyncio.Event | None = asyncio.Event() if count else None

    def __len__(self) -> int:
        return len(self._results)

    @property
    def results(self) -> list[T]:
        return cast("list[T]", self._results)

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """Record one outcome; the last one ends `wait`."""
        self._results[message.packet_id] = self._to_result(message, outcome, meaning)
        self._open -= 1
        if not self._open and self._done is not None:
            self._done.set()
            self._done = None

    async def wait(self, seconds: float, closed: asyncio.Event) -> bool:
        """Wait for all outcomes, at most `seconds` and until `closed` (the pipeline has ended); return whether all arrived."""
        if self._done is None:
            return True
        waiters = {asyncio.ensure_future(event.wait()) for event in (self._done, closed)}
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        return not self._open
