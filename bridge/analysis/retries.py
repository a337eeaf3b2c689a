"""Trying again: what waits for the store, and services that failed."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bridge.core.errors import StoreUnavailable

log = logging.getLogger(__name__)

FIRST_SECONDS, LAST_SECONDS = 0.25, 4.0

RESTART_FIRST_SECONDS, RESTART_LAST_SECONDS = 5.0, 300.0
"""The pause before a service that failed runs again doubles, unless it has run for longer than the last pause."""

T = TypeVar("T")


async def until_stored(attempt: Callable[[], Awaitable[T]], subject: str) -> T:
    """Repeat `attempt`, after a pause that doubles up to `LAST_SECONDS`, until the store is available; return its result."""
    seconds = FIRST_SECONDS
    while True:
        try:
            result = await attempt()
        except StoreUnavailable as error:
            if seconds == FIRST_SECONDS:
                log.warning("analysis: %s wait: store unavailable: %s", subject, error)
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, LAST_SECONDS)
        else:
            return result


async def keep_running(
    run: Callable[[], Awaitable[None]],
    name: str,
    on_failure: Callable[[str], None],
    *,
    first_seconds: float = RESTART_FIRST_SECONDS,
) -> None:
    """Run a service until cancelled, again after each error: a fault in it must not stop the bridge from storing readings.

    `on_failure` is told what failed, and when it runs again.
    """
    seconds = first_seconds
    while True:
        began = time.monotonic()
        try:
            await run()
        except Exception as error:
            if time.monotonic() - began > RESTART_LAST_SECONDS:
                seconds = first_seconds
            log.exception("%s: failed: running again in %g s", name, seconds)
            on_failure(f"failed with {type(error).__name__}, see the log; runs again after {seconds:g} s")
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, RESTART_LAST_SECONDS)
        else:
            return
