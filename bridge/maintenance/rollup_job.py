"""Keep the history rolled up while the bridge runs."""

import asyncio
import logging
import time

from bridge.core.errors import StoreError
from bridge.core.rollup import DEVICES_LIMIT
from bridge.ports import Store

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
_SHORTEST_PAUSE_SECONDS = 0.05


class RollupJob:
    """Rolls up the history periodically; `hours` counts the device-hours rolled up since the start."""

    def __init__(self, store: Store, devices_limit: int = DEVICES_LIMIT, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """`store` must be prepared; at most `devices_limit` devices are rolled up."""
        self._store = store
        self._devices_limit = devices_limit
        self._interval_seconds = interval_seconds
        self._last_error = ""
        self._behind = False
        self.hours = 0

    async def run(self) -> None:
        """Run until cancelled. Each pause is as long as the step before it, so the job takes at most half the store's time."""
        while True:
            started = time.monotonic()
            more = await self._step()
            await asyncio.sleep(max(time.monotonic() - started, _SHORTEST_PAUSE_SECONDS) if more else self._interval_seconds)

    async def _step(self) -> bool:
        try:
            result = await self._store.history.roll_up(self._devices_limit)
        except StoreError as error:
            if str(error) != self._last_error:
                log.warning("rollups: history not rolled up (%s): retrying every %g s", error, self._interval_seconds)
            self._last_error = str(error)
            return False
        self._last_error = ""
        self.hours += result.hours
        if result.behind and result.more and not self._behind:
            log.info("rollups: catching up for %d devices: their long charts are slower until then", result.behind)
        elif self._behind and not result.behind:
            log.info("rollups: caught up: %d device-hours rolled up since the start", self.hours)
        self._behind = result.behind > 0
        return result.more
