"""Lists the devices that a command, such as an import, has stored while the bridge runs."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bridge.core.errors import StoreUnavailable
from bridge.ports import KeyValueStore

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
_KEY = "devices.stored"


async def mark_stored(store: KeyValueStore) -> None:
    """Say that devices were stored. Raises `StoreUnavailable`."""
    await store.put(_KEY, str(time.time_ns()))


class StoredDevices:
    def __init__(self, store: KeyValueStore, on_stored: Callable[[], Awaitable[None]]) -> None:
        """`on_stored` is called after each mark, and may raise `StoreUnavailable`."""
        self._store = store
        self._on_stored = on_stored

    async def run(self) -> None:
        """Look for a mark every `CHECK_SECONDS`, until cancelled."""
        seen: str | None = ""
        while True:
            try:
                mark = await self._store.get(_KEY)
                if mark != seen:
                    await self._on_stored()
                    seen = mark
            except StoreUnavailable as error:
                log.debug("devices: not read again (%s): later", error)
            await asyncio.sleep(CHECK_SECONDS)
