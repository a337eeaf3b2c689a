"""Keeps the store within its limits while the bridge runs."""

from __future__ import annotations

import asyncio
import logging

from bridge.core.errors import StoreError
from bridge.core.query import Tidied
from bridge.ports import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0


class Keeping:
    """The loop that has the store tidied; `removed` is what went since the start."""

    def __init__(self, store: Store, every_seconds: float = EVERY_SECONDS) -> None:
        """`store` is prepared."""
        self._store = store
        self._every_seconds = every_seconds
        self._trouble = ""
        self.removed = Tidied()

    async def run(self) -> None:
        """Until cancelled. What fails is tried again at the next turn."""
        while True:
            try:
                self._count(await self._store.tidy())
            except StoreError as error:
                if str(error) != self._trouble:
                    log.warning("the store cannot be tidied: %s", error)
                self._trouble = str(error)
            else:
                self._trouble = ""
            await asyncio.sleep(self._every_seconds)

    def _count(self, tidied: Tidied) -> None:
        before = self.removed
        self.removed = Tidied(
            before.readings + tidied.readings,
            before.rejected_old + tidied.rejected_old,
            before.rejected_over + tidied.rejected_over,
        )
        if tidied.rejected_over:
            log.warning(
                "the quarantine was full: its %d oldest messages are removed, %d since the start",
                tidied.rejected_over,
                self.removed.rejected_over,
            )
