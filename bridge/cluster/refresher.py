"""Reads again what other bridges may have changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bridge.core.errors import StoreUnavailable

log = logging.getLogger(__name__)

REFRESH_SECONDS = 30.0


class Refresher:
    """Calls each of `jobs` every `REFRESH_SECONDS`, and when it is asked for. A job may raise `StoreUnavailable`."""

    def __init__(self) -> None:
        self.jobs: dict[str, Callable[[], Awaitable[None]]] = {}
        self._due: set[str] = set()
        self._wanted = asyncio.Event()

    def want(self, name: str) -> None:
        """Call this job now; a name that is not known is ignored."""
        if name in self.jobs:
            self._due.add(name)
            self._wanted.set()

    def want_all(self) -> None:
        """Call each job now."""
        self._due.update(self.jobs)
        self._wanted.set()

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        next_round = loop.time() + REFRESH_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(next_round):
                    await self._wanted.wait()
            except TimeoutError:
                next_round = loop.time() + REFRESH_SECONDS
                self._due.update(self.jobs)
            self._wanted.clear()
            due, self._due = self._due, set()
            for name in sorted(due):
                await self._call(name)

    async def _call(self, name: str) -> None:
        try:
            await self.jobs[name]()
        except StoreUnavailable as error:
            log.debug("cluster: %s not read again (%s): later", name, error)
