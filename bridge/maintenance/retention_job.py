"""Keep the store within its limits while the bridge runs."""

import asyncio
import logging
from collections.abc import Callable

from bridge.core.errors import StoreError
from bridge.core.query import RetentionResult
from bridge.ports import Store

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0


class RetentionJob:
    """Enforces the store's limits periodically; `removed` counts its deletions since the start."""

    def __init__(self, store: Store, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """`store` must be prepared."""
        self._store = store
        self._interval_seconds = interval_seconds
        self._last_error = ""
        self.removed = RetentionResult()
        self.on_quarantine_full: Callable[[int], None] = lambda _: None
        """Called with the number of messages that were removed from a full quarantine."""

    async def run(self) -> None:
        """Run until cancelled. A failure is logged once and retried after the interval."""
        while True:
            try:
                self._count(await self._store.enforce_retention())
            except StoreError as error:
                if str(error) != self._last_error:
                    log.warning("retention: old data not removed (%s): retrying every %g s", error, self._interval_seconds)
                self._last_error = str(error)
            else:
                self._last_error = ""
            await asyncio.sleep(self._interval_seconds)

    def _count(self, removed: RetentionResult) -> None:
        before = self.removed
        self.removed = RetentionResult(
            before.readings + removed.readings,
            before.rejected_old + removed.rejected_old,
            before.rejected_over + removed.rejected_over,
            before.audit_over + removed.audit_over,
        )
        if removed.rejected_over:
            self.on_quarantine_full(removed.rejected_over)
            log.warning(
                "retention: quarantine full: %d oldest messages removed, %d since the start; see `sensor-bridge rejected list`",
                removed.rejected_over,
                self.removed.rejected_over,
            )
        if removed.audit_over:
            log.warning(
                "retention: audit log full: %d events removed, refusals first, %d since the start; see store.audit_limit",
                removed.audit_over,
                self.removed.audit_over,
            )
