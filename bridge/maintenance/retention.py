"""Keeps the store within its limits, and its history rolled up, while the bridge runs."""

from __future__ import annotations

import asyncio
import logging
import time

from bridge.core.errors import StoreError
from bridge.core.query import RetentionResult
from bridge.ports import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
ROLL_EVERY_SECONDS = 10.0
_SHORTEST_REST_SECONDS = 0.05


class RetentionJob:
    """The loop that has the store tidied; `removed` is what went since the start."""

    def __init__(self, store: Store, every_seconds: float = EVERY_SECONDS) -> None:
        """`store` is prepared."""
        self._store = store
        self._every_seconds = every_seconds
        self._trouble = ""
        self.removed = RetentionResult()

    async def run(self) -> None:
        """Until cancelled. What fails is tried again at the next turn."""
        while True:
            try:
                self._count(await self._store.enforce_retention())
            except StoreError as error:
                if str(error) != self._trouble:
                    log.warning("the store cannot be tidied: %s", error)
                self._trouble = str(error)
            else:
                self._trouble = ""
            await asyncio.sleep(self._every_seconds)

    def _count(self, tidied: RetentionResult) -> None:
        before = self.removed
        self.removed = RetentionResult(
            before.readings + tidied.readings,
            before.rejected_old + tidied.rejected_old,
            before.rejected_over + tidied.rejected_over,
            before.acts_over + tidied.acts_over,
        )
        if tidied.rejected_over:
            log.warning(
                "the quarantine was full: its %d oldest messages are removed, %d since the start",
                tidied.rejected_over,
                self.removed.rejected_over,
            )
        if tidied.acts_over:
            log.warning(
                "the audit was full: %d acts are removed, refusals before others, %d since the start",
                tidied.acts_over,
                self.removed.acts_over,
            )


class RollupJob:
    """The loop that has rollups made; `hours` of devices since the start."""

    def __init__(self, store: Store, every_seconds: float = ROLL_EVERY_SECONDS) -> None:
        """`store` is prepared."""
        self._store = store
        self._every_seconds = every_seconds
        self._trouble = ""
        self._behind = False
        self.hours = 0

    async def run(self) -> None:
        """Until cancelled. It rests as long as it works, so that half of the store's time at most goes into it."""
        while True:
            begun = time.monotonic()
            more = await self._step()
            await asyncio.sleep(max(time.monotonic() - begun, _SHORTEST_REST_SECONDS) if more else self._every_seconds)

    async def _step(self) -> bool:
        try:
            rolled = await self._store.history.roll_up()
        except StoreError as error:
            if str(error) != self._trouble:
                log.warning("history cannot be rolled up: %s", error)
            self._trouble = str(error)
            return False
        self._trouble = ""
        self.hours += rolled.hours
        if rolled.behind and rolled.more and not self._behind:
            log.info("rolling up the history of %d devices; until it is done their long charts take longer", rolled.behind)
        elif self._behind and not rolled.behind:
            log.info("the history is rolled up: %d hours of devices since the start", self.hours)
        self._behind = rolled.behind > 0
        return rolled.more
