"""What was answered to whom: requests remembered by their `Idempotency-Key`, in memory, for a day."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.core.errors import IdempotencyKeyReused

T = TypeVar("T", bound=Sized)

REMEMBERED_SECONDS = 24 * 3600.0
KEYS_LIMIT = 10_000
ITEMS_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[T]):
    digest: bytes
    until: float
    post: T


class IdempotencyKeys(Generic[T]):
    """Posts by their key. The oldest are forgotten past the limits, in keys and in items of the posts together."""

    def __init__(
        self, *, seconds: float = REMEMBERED_SECONDS, keys_limit: int = KEYS_LIMIT, items_limit: int = ITEMS_LIMIT
    ) -> None:
        """`seconds` is how long a key is remembered."""
        self._seconds = seconds
        self._keys_limit = keys_limit
        self._items_limit = items_limit
        self._posts: OrderedDict[str, _Remembered[T]] = OrderedDict()
        self._items = 0
        self.forgotten = 0
        """Keys forgotten before their time, for want of room."""

    def find(self, key: str, digest: bytes, now: float) -> T | None:
        """The post of `key`, None if it is not known; raises `IdempotencyKeyReused` when its body was another. `now` is in seconds."""
        while self._posts and next(iter(self._posts.values())).until <= now:
            self._drop_oldest()
        found = self._posts.get(key)
        if found is None:
            return None
        if found.digest != digest:
            raise IdempotencyKeyReused("this Idempotency-Key was used with another body; a new request needs a new key")
        return found.post

    def add(self, key: str, digest: bytes, post: T, now: float) -> None:
        """Remember a key that `find` does not know."""
        self._posts[key] = _Remembered(digest, now + self._seconds, post)
        self._items += len(post)
        while len(self._posts) > self._keys_limit or (self._items > self._items_limit and len(self._posts) > 1):
            self._drop_oldest()
            self.forgotten += 1

    def _drop_oldest(self) -> None:
        _, oldest = self._posts.popitem(last=False)
        self._items -= len(oldest.post)
