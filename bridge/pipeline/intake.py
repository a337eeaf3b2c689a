"""The queue between the sources and the pipeline, which takes messages in batches."""

import asyncio
import time
from collections import deque

from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome

LARGE = 32
"""More messages share the cost of a batch well enough: they do not wait for others."""


class Intake:
    """A bounded queue. Each iteration returns everything that has arrived, from one message to `batch_limit`.

    Messages to be acknowledged are bounded by their source: MQTT by its receive maximum, HTTP by its pending requests. QoS 0
    has no such bound, so beyond `qos0_limit` waiting messages the oldest are dropped and counted.
    """

    def __init__(self, ledger: Ledger, *, qos0_limit: int, batch_limit: int, pace_seconds: float = 0.0) -> None:
        """Limits are numbers of messages. Batches of less than `LARGE` begin at least `pace_seconds` apart."""
        self._ledger = ledger
        self._qos0_limit = qos0_limit
        self._batch_limit = batch_limit
        self._pace_seconds = pace_seconds
        self._taken_at = float("-inf")
        self._qos1: deque[tuple[int, Message]] = deque()
        self._qos0: deque[tuple[int, Message]] = deque()
        self._sequence = 0
        self._closed = False
        self._arrived = asyncio.Event()

    def put(self, message: Message) -> None:
        """Add a message. After `close` it is ignored: neither counted nor acknowledged, so that its source redelivers it."""
        if self._closed:
            return
        self._sequence += 1
        self._ledger.count_received(message.source)
        if message.qos:
            self._qos1.append((self._sequence, message))
        else:
            if len(self._qos0) >= self._qos0_limit:
                self._drop_oldest()
            self._qos0.append((self._sequence, message))
        self._arrived.set()

    def _drop_oldest(self) -> None:
        _, oldest = self._qos0.popleft()
        self._ledger.count_outcome(oldest.source, Outcome.DROPPED)
        oldest.origin.acknowledge(oldest, Outcome.DROPPED)

    def close(self) -> None:
        """Accept no more messages; iteration ends once the queue is empty."""
        self._closed = True
        self._arrived.set()

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._qos1) + len(self._qos0)

    def __aiter__(self) -> "Intake":
        return self

    async def __anext__(self) -> list[Message]:
        while not len(self):
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        if self._pace_seconds:
            await self._keep_pace()
        return [self._oldest() for _ in range(min(len(self), self._batch_limit))]

    async def _keep_pace(self) -> None:
        """Wait for more messages if the last batch has just begun."""
        early = self._taken_at + self._pace_seconds - time.monotonic()
        if early > 0 and len(self) < LARGE and not self._closed:
            await asyncio.sleep(early)
        self._taken_at = time.monotonic()

    def _oldest(self) -> Message:
        if not self._qos0 or (self._qos1 and self._qos1[0][0] < self._qos0[0][0]):
            return self._qos1.popleft()[1]
        return self._qos0.popleft()[1]
