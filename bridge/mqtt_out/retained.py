"""The retained messages that the broker should have: each topic once, published again whole on every connection.

What waits is a set of topics, and a message is composed when it is its turn: a topic that changes ten times while the broker is
slow or unavailable is published once. The topics are remembered in the store, so that messages of an earlier run which nobody
publishes any more are removed from the broker.
"""

import asyncio
import logging
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, islice
from typing import Any

import orjson

from bridge.core.errors import BrokerUnavailable, StoreUnavailable
from bridge.ports import KeyValueStore

log = logging.getLogger(__name__)

TOPICS_LIMIT = 100_000
BATCH = 16
"""How many messages may be without an acknowledgement."""

_SHARDS = 64
_KEY = "mqtt_out/topics/"
_RETRY_SECONDS = 1.0
_EMPTY = b""

Compose = Callable[[], bytes]
Publish = Callable[[str, bytes], Coroutine[Any, Any, None]]
"""Publishes a retained message and returns when it is acknowledged. Raises `BrokerUnavailable`."""


class Urgency(IntEnum):
    """What is published first."""

    ALARM = 0
    AVAILABILITY = 1
    STATE = 2
    CONFIG = 3

    @property
    def pause_seconds(self) -> float:
        """The time after each message: at most 2,000 alarms a second, and 500 others. A message costs 0.11 ms of CPU, and after
        each new connection everything is published again.
        """
        return 1 / 2000 if self is Urgency.ALARM else 1 / 500


@dataclass(slots=True)
class RetainedCounters:
    """Messages since the start: acknowledged by the broker, and those of topics beyond `TOPICS_LIMIT`.

    `failed` were not acknowledged in time, or not before the connection ended, and are published again.
    """

    published: int = 0
    removed: int = 0
    failed: int = 0
    over_limit: int = 0


@dataclass(slots=True)
class _Topic:
    """`compose` is None for a message that is to be removed; `sent` is the hash of what the broker has from this connection."""

    urgency: Urgency
    compose: Compose | None = None
    sent: int | None = None


class RetainedMessages:
    """Keeps the broker's retained messages as they should be. `put` and `remove` never wait."""

    def __init__(self, publish: Publish, memory: KeyValueStore) -> None:
        self._publish = publish
        self._memory = memory
        self._topics: dict[str, _Topic] = {}
        self._waiting: dict[Urgency, dict[str, None]] = {urgency: {} for urgency in Urgency}
        self._memos: list[dict[str, str]] = [{} for _ in range(_SHARDS)]
        self._unsaved: set[int] = set()
        self._wake_up = asyncio.Event()
        self._connected = asyncio.Event()
        self.sending = 0
        """How many messages are without an acknowledgement."""
        self.counts = RetainedCounters()

    def __len__(self) -> int:
        return len(self._topics)

    @property
    def waiting(self) -> int:
        """How many topics are to be published or removed."""
        return sum(map(len, self._waiting.values()))

    # --- what the broker should have ---------------------------------------------------------------------------------------

    def put(self, topic: str, compose: Compose, urgency: Urgency, memo: str = "") -> None:
        """Publish a message, and again after each change that another call tells of. `memo` is remembered with the topic."""
        known = self._topics.get(topic)
        if known is None:
            if len(self._topics) >= TOPICS_LIMIT:
                self.counts.over_limit += 1
                return
            known = self._topics[topic] = _Topic(urgency)
        known.compose = compose
        shard = _shard(topic)
        if self._memos[shard].get(topic) != memo:
            self._memos[shard][topic] = memo
            self._unsaved.add(shard)
        self._enqueue(topic, known)

    def remove(self, topic: str) -> None:
        """Remove a message from the broker. Does nothing for a topic without one."""
        known = self._topics.get(topic)
        if known is not None:
            known.compose = None
            self._enqueue(topic, known)

    def memo(self, topic: str) -> str | None:
        """Return what was remembered with a topic, also in an earlier run; None for an unknown topic."""
        return self._memos[_shard(topic)].get(topic)

    def _enqueue(self, topic: str, known: _Topic) -> None:
        self._waiting[known.urgency][topic] = None
        self._wake_up.set()

    def on_connected(self) -> None:
        """There is another connection: publish everything again."""
        for topic, known in self._topics.items():
            known.sent = None
            self._waiting[known.urgency][topic] = None
        self._connected.set()
        self._wake_up.set()

    # --- memory ------------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the topics of earlier runs. Raises `StoreUnavailable`."""
        for shard in range(_SHARDS):
            self._memos[shard] = orjson.loads(await self._memory.get(f"{_KEY}{shard}") or "{}")

    def remove_others(self) -> None:
        """Remove the messages of earlier runs whose topics nobody has put in this one."""
        others = [topic for topic in chain.from_iterable(self._memos) if topic not in self._topics]
        for topic in others[: max(TOPICS_LIMIT - len(self._topics), 0)]:
            known = self._topics[topic] = _Topic(Urgency.ALARM)
            self._enqueue(topic, known)
        if others:
            log.info("mqtt: %d retained messages of an earlier run are removed: nothing publishes them now", len(others))

    async def _save(self) -> None:
        """Remember topics before the first message of each. While the store is unavailable they are remembered later."""
        while self._unsaved:
            shard = next(iter(self._unsaved))
            try:
                await self._memory.put(f"{_KEY}{shard}", orjson.dumps(self._memos[shard]).decode())
            except StoreUnavailable as error:
                log.debug("mqtt: topics of retained messages not remembered (%s): retrying with the next one", error)
                return
            self._unsaved.discard(shard)

    # --- publishing --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Publish what waits, the most urgent first, until cancelled."""
        await self._connected.wait()
        while True:
            await self._wake_up.wait()
            self._wake_up.clear()
            while batch := list(islice(self._next(), BATCH)):
                await self._save()
                self._connected.clear()
                pause = sum(self._topics[topic].urgency.pause_seconds for topic in batch)
                if await self._publish_all(batch):
                    await asyncio.sleep(pause)
                else:
                    await self._wait_for_connection()
            await self._save()

    async def _wait_for_connection(self) -> None:
        """Wait for another connection, but not for long: on this one, messages may only have been slow."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._connected.wait()

    def _next(self) -> Iterator[str]:
        return chain.from_iterable(self._waiting[urgency] for urgency in Urgency)

    async def _publish_all(self, topics: Iterable[str]) -> bool:
        """Publish the messages of some topics at once; return whether all were acknowledged."""
        sending: list[Coroutine[Any, Any, bool]] = []
        for topic in topics:
            known = self._topics[topic]
            del self._waiting[known.urgency][topic]
            payload = _EMPTY if known.compose is None else known.compose()
            if hash(payload) != known.sent:
                sending.append(self._send(topic, known, payload))
        self.sending = len(sending)
        try:
            return all(await asyncio.gather(*sending))
        finally:
            self.sending = 0

    async def _send(self, topic: str, known: _Topic, payload: bytes) -> bool:
        try:
            await self._publish(topic, payload)
        except BrokerUnavailable as error:
            log.debug("mqtt: retained message of %r not published (%s): retrying", topic, error)
            self.counts.failed += 1
            self._enqueue(topic, known)
            return False
        known.sent = hash(payload)
        if payload:
            self.counts.published += 1
        else:
            self.counts.removed += 1
            if known.compose is None and self._topics.get(topic) is known:
                self._drop(topic)
        return True

    def _drop(self, topic: str) -> None:
        known = self._topics.pop(topic)
        self._waiting[known.urgency].pop(topic, None)
        shard = _shard(topic)
        self._memos[shard].pop(topic, None)
        self._unsaved.add(shard)


def _shard(topic: str) -> int:
    return zlib.crc32(topic.encode()) % _SHARDS
