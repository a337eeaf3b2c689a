"""Numbers for new devices and locations, counted up in the store."""

from collections.abc import Awaitable, Callable

from bridge.core.errors import StoreUnavailable
from bridge.ports import SwapStore


class NumberSequence:
    """Numbers from 1. None is given twice, also after a restart or by two bridges at once."""

    def __init__(self, store: SwapStore, key: str) -> None:
        self._store = store
        self._key = key

    async def next(self, is_free: Callable[[str], Awaitable[bool]]) -> str:
        """Return the next number that is free. Raises `StoreUnavailable`."""
        while True:
            last = await self._store.get(self._key)
            number = _number(last) + 1
            while not await is_free(str(number)):
                number += 1
            if await self._store.swap(self._key, last, str(number)):
                return str(number)


def _number(text: str | None) -> int:
    try:
        return int(text or "0")
    except ValueError:
        raise StoreUnavailable("the sequence of ids in the store is not a number: remove it there") from None
