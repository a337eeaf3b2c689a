"""Requests remembered by their `Idempotency-Key`, in memory, for a day."""

from collections import OrderedDict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.core.errors import IdempotencyKeyReused

T = TypeVar("T", bound=Sized)

EXPIRY_SECONDS = 24 * 3600.0
KEYS_LIMIT = 10_000
ITEMS_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    digest: bytes
    expires: float
    batch: T


class IdempotencyKeys(Generic[T]):
    """Batches by key. Beyond the limits, in keys and in items of all batches together, the oldest are evicted."""

    def __init__(
        self, *, seconds: float = EXPIRY_SECONDS, keys_limit: int = KEYS_LIMIT, items_limit: int = ITEMS_LIMIT
    ) -> None:
        """Keys expire after `seconds`."""
        self._seconds = seconds
        self._keys_limit = keys_limit
        self._items_limit = items_limit
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()
        self._items = 0
        self.evicted = 0
        """Keys removed before they expired."""

    def find(self, key: str, digest: bytes, now: float) -> T | None:
        """Return the batch of a key, or None; `now` is in seconds. Raises `IdempotencyKeyReused` if the body was different."""
        while self._entries and next(iter(self._entries.values())).expires <= now:
            self._drop_oldest()
        found = self._entries.get(key)
        if found is None:
            return None
        if found.digest != digest:
            raise IdempotencyKeyReused("this Idempotency-Key was used with another body: use a new key for a new request")
        return found.batch

    def add(self, key: str, digest: bytes, batch: T, now: float) -> None:
        """Remember a key that `find` did not find."""
        self._entries[key] = _Entry(digest, now + self._seconds, batch)
        self._items += len(batch)
        while len(self._entries) > self._keys_limit or (self._items > self._items_limit and len(self._entries) > 1):
            self._drop_oldest()
            self.evicted += 1

    def _drop_oldest(self) -> None:
        _, oldest = self._entries.popitem(last=False)
        self._items -= len(oldest.batch)
