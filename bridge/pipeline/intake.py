"""Where every source puts what arrives, and the pipeline takes it in batches."""

from __future__ import annotations

import asyncio
from collections import deque

from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome


class Intake:
    """A bounded gathering place. Iterating gives all that has arrived, at least one message, at most `batch_limit`.

    What is acknowledged is bounded by its source: MQTT by the receive window, HTTP by the requests that wait. QoS 0 has no
    such bound, so past `qos0_limit` waiting messages the oldest of them are dropped, and counted.
    """

    def __init__(self, ledger: Ledger, *, qos0_limit: int, batch_limit: int) -> None:
        """Limits are in messages."""
        self._ledger = ledger
        self._qos0_limit = qos0_limit
        self._batch_limit = batch_limit
        self._kept: deque[tuple[int, Message]] = deque()
        self._qos0: deque[tuple[int, Message]] = deque()
        self._arrivals = 0
        self._closed = False
        self._news = asyncio.Event()

    def put(self, message: Message) -> None:
        """Take a message in. After `close` it is left to its source: not counted, not settled, to be delivered again."""
        if self._closed:
            return
        self._arrivals += 1
        self._ledger.count_received(message.source)
        if message.qos:
            self._kept.append((self._arrivals, message))
        else:
            if len(self._qos0) >= self._qos0_limit:
                self._drop_oldest()
            self._qos0.append((self._arrivals, message))
        self._news.set()

    def _drop_oldest(self) -> None:
        _, oldest = self._qos0.popleft()
        self._ledger.count_outcome(oldest.source, Outcome.DROPPED)
        oldest.origin.acknowledge(oldest, Outcome.DROPPED)

    def close(self) -> None:
        """Take nothing more in; the iteration ends when what is here has been taken."""
        self._closed = True
        self._news.set()

    @property
    def closed(self) -> bool:
        """Nothing more is taken in."""
        return self._closed

    def __len__(self) -> int:
        """Messages not yet taken."""
        return len(self._kept) + len(self._qos0)

    def __aiter__(self) -> Intake:
        """Batches, in order of arrival, until closed and empty."""
        return self

    async def __anext__(self) -> list[Message]:
        """The next batch, as soon as there is one."""
        while not len(self):
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return [self._oldest() for _ in range(min(len(self), self._batch_limit))]

    def _oldest(self) -> Message:
        if not self._qos0 or (self._kept and self._kept[0][0] < self._qos0[0][0]):
            return self._kept.popleft()[1]
        return self._qos0.popleft()[1]
