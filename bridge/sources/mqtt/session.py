"""What we must know of our session at the broker: what to remember over restarts, and whether somebody takes it from us."""

from __future__ import annotations

import json
import logging
import time

from bridge.core.errors import StoreUnavailable
from bridge.ports import KeyValueStore
from bridge.settings import MqttSettings

log = logging.getLogger(__name__)

_SHORT_SECONDS, _SHORT_IN_A_ROW = 5.0, 3


class TakeoverDetector:
    """Tells a session that is taken over, again and again, from a broker that is away.

    Mosquitto 2.0 closes the connection of whom it takes a session from without giving the reason. Then the next attempt
    succeeds at once, where a broker that is away refuses it first.
    """

    def __init__(self) -> None:
        """None yet."""
        self._in_a_row = 0
        self._since: float | None = None

    def begin(self) -> None:
        """A connection is made."""
        self._since = time.monotonic()

    @property
    def too_often(self) -> bool:
        """The last few connections were made at once and ended within seconds, or the broker said that one was taken."""
        return self._in_a_row >= _SHORT_IN_A_ROW

    def end(self) -> None:
        """An attempt or a connection ended."""
        short = self._since is not None and time.monotonic() - self._since < _SHORT_SECONDS
        self._in_a_row = self._in_a_row + 1 if short else 0
        self._since = None

    def taken(self) -> None:
        """The broker said so."""
        self._in_a_row, self._since = _SHORT_IN_A_ROW, None

    def forget(self) -> None:
        """We ended it ourselves."""
        self._in_a_row, self._since = 0, None


class SessionState:
    """What we must know of our session at the broker after a restart: its filters, and the broker's count of drops.

    When the store is away nothing is known, and the next connection asks again.
    """

    def __init__(self, memory: KeyValueStore, settings: MqttSettings) -> None:
        """Remembered by client id, for the session belongs to it."""
        self._memory = memory
        self._filters = [subscription.route.pattern.topic_filter for subscription in settings.subscriptions]
        self._filters_key = f"mqtt/{settings.client_id}/filters"
        self._dropped_key = f"mqtt/{settings.client_id}/dropped"

    async def outdated_filters(self) -> list[str]:
        """Filters of the session that are in the settings no more."""
        try:
            before = json.loads(await self._memory.get(self._filters_key) or "[]")
        except StoreUnavailable as error:
            log.debug("subscriptions of before are not known: %s", error)
            return []
        return [topic for topic in before if topic not in self._filters]

    async def save_filters(self) -> None:
        """The session has the filters of the settings, and no others."""
        try:
            await self._memory.put(self._filters_key, json.dumps(self._filters))
        except StoreUnavailable as error:
            log.debug("subscriptions are not remembered: %s", error)

    async def dropped_since(self, payload: bytes) -> int:
        """How much the broker's count rose; the first count ever seen, and one that fell with a restart, begin anew."""
        try:
            count = int(payload)
            before = await self._memory.get(self._dropped_key)
            if before != str(count):
                await self._memory.put(self._dropped_key, str(count))
        except (ValueError, StoreUnavailable) as error:
            log.debug("the broker's count of drops is not known: %s", error)
            return 0
        return 0 if before is None else count - int(before) if count >= int(before) else count
