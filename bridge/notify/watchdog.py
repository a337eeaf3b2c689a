"""Calls a URL every minute while the bridge works; a service there gives the alarm when the calls end."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from bridge.alarms.rules_file.notify_settings import WatchdogSettings
from bridge.notify.target import DEADLINE_SECONDS

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0


@dataclass(slots=True)
class WatchdogCounters:
    """Calls since the start: answered, without a good answer, and left out because the bridge did not work."""

    answered: int = 0
    failed: int = 0
    withheld: int = 0


class Watchdog:
    def __init__(self, settings: WatchdogSettings, healthy: Callable[[], bool], every_seconds: float = EVERY_SECONDS) -> None:
        """`healthy` says whether rules are evaluated, and transitions and deliveries stored."""
        self.counts = WatchdogCounters()
        self._url = settings.url
        self._healthy = healthy
        self._every_seconds = every_seconds
        self._is_failing = False

    async def run(self) -> None:
        """Call until cancelled."""
        timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                if self._healthy():
                    await self._call(session)
                else:
                    self.counts.withheld += 1
                await asyncio.sleep(self._every_seconds)

    async def _call(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(self._url, allow_redirects=False) as response:
                fault = None if response.status < 400 else f"answered {response.status}"
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            fault = type(error).__name__
        if fault is None:
            self.counts.answered += 1
        else:
            self.counts.failed += 1
        if (fault is not None) is not self._is_failing:
            self._is_failing = fault is not None
            if fault is None:
                log.info("watchdog: called again")
            else:
                log.warning("watchdog: not called (%s): its service will give the alarm; check watchdog.url", fault)
