"""The bridge's session at the broker: its state across restarts, and whether another client takes it over."""

import json
import logging
import time
from collections.abc import Sequence
from typing import NoReturn

from bridge.core.errors import BrokerUnavailable, StoreUnavailable
from bridge.ports import KeyValueStore, SessionLease

log = logging.getLogger(__name__)

_SHORT_SECONDS, _SHORT_IN_A_ROW = 5.0, 3


class TakeoverDetector:
    """Distinguishes a session that is taken over repeatedly from an unavailable broker.

    Mosquitto 2.0 closes the connection that loses its session without a reason. Then the next attempt succeeds at once,
    whereas an unavailable broker refuses it first.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._since: float | None = None

    def on_connected(self) -> None:
        self._since = time.monotonic()

    @property
    def too_often(self) -> bool:
        """The last connections were established at once and ended within seconds, or the broker reported a takeover."""
        return self._in_a_row >= _SHORT_IN_A_ROW

    def on_disconnected(self) -> None:
        short = self._since is not None and time.monotonic() - self._since < _SHORT_SECONDS
        self._in_a_row = self._in_a_row + 1 if short else 0
        self._since = None

    def on_taken_over(self) -> None:
        self._in_a_row, self._since = _SHORT_IN_A_ROW, None

    def reset(self) -> None:
        self._in_a_row, self._since = 0, None


async def end_with(lease: SessionLease) -> NoReturn:
    """Raise `BrokerUnavailable` once a lease has ended: its connection is to be closed."""
    await lease.wait_ended()
    raise BrokerUnavailable(f"the session {lease.client_id} is another bridge's")


class SessionState:
    """The topic filters of the session, stored by client id, and the broker's count of drops.

    While the store is unavailable at start the state is unknown, and the next connection tries again.
    """

    def __init__(self, memory: KeyValueStore, client_id: str, share: str | None = None) -> None:
        """Bridges that share subscriptions in the group `share` have one count of drops: one of them at a time reads it."""
        self._memory = memory
        self._filters: list[str] | None = None
        self._filters_key = f"mqtt/{client_id}/filters"
        self._dropped_key = f"mqtt/{share or client_id}/dropped"

    async def filters(self) -> list[str] | None:
        """Return the filters that the session has from earlier connections, the oldest first; None if they are unknown.

        Shared ones are returned and stored with their group.
        """
        if self._filters is None:
            try:
                self._filters = [str(one) for one in json.loads(await self._memory.get(self._filters_key) or "[]")]
            except StoreUnavailable as error:
                log.debug("mqtt: earlier subscriptions unknown (%s): not removed on this connection", error)
        return self._filters

    async def save_filters(self, filters: Sequence[str]) -> None:
        """Store the filters that the session has now, the oldest first."""
        self._filters = list(filters)
        try:
            await self._memory.put(self._filters_key, json.dumps(self._filters))
        except StoreUnavailable as error:
            log.debug("mqtt: subscriptions not stored (%s): retrying on the next connection", error)

    async def dropped_since(self, payload: bytes) -> int:
        """Return the rise of the broker's count; 0 for the first count ever, the whole count after a restart of the broker."""
        try:
            count = int(payload)
            stored = await self._memory.get(self._dropped_key)
            if stored != str(count):
                await self._memory.put(self._dropped_key, str(count))
        except (ValueError, StoreUnavailable) as error:
            log.debug("mqtt: count of dropped messages unknown (%s): not reported", error)
            return 0
        if stored is None:
            return 0
        return count - int(stored) if count >= int(stored) else count
