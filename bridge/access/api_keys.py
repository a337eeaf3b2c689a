"""Keys of programs and devices: `sbk_`, the key's id, and a secret that is shown once. The store has its hash.

Keys are held in memory, so a request asks no store; one that is not there is looked for in it, for it may be new, but only so
often for each address, and for all: whoever makes ids up makes no work, and keeps nobody else's new key out.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from bridge.access.revocations import Revocations
from bridge.core.access.accounts import ApiKey, key_name
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope
from bridge.core.access.secrets import matches_hash, sha256_hex
from bridge.core.address import rate_limit_key
from bridge.core.errors import AccountError, TemporarilyUnavailable, Unauthorized, UnknownAccount
from bridge.core.readings.identity import is_device_id
from bridge.ports import ApiKeyStore

PREFIX = "sbk_"
LIMIT = 10_000
_DAYS_LIMIT = 3650
_FORM = re.compile(r"sbk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_LOOKS_A_SECOND, _LOOKS_OF_ALL_A_SECOND = 20.0, 200.0
_PLACES_LIMIT = 10_000


class _LookupBudget:
    """So many a second."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = self._left = rate
        self._at = 0.0

    def take(self, now: float) -> bool:
        """One more, if it may be."""
        self._left = min(self._rate, self._left + max(now - self._at, 0.0) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class ApiKeys:
    """Each call may raise `StoreUnavailable`."""

    def __init__(self, kept: ApiKeyStore, revocations: Revocations, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch."""
        self._kept = kept
        self._revocations = revocations
        self._clock = clock
        self._held: dict[str, ApiKey] = {}
        self._looks = _LookupBudget(_LOOKS_OF_ALL_A_SECOND)
        self._looks_of: OrderedDict[str, _LookupBudget] = OrderedDict()

    async def load(self) -> None:
        """Hold those of the store."""
        self._held = {one.id: one for one in await self._kept.all()}

    async def all(self) -> list[ApiKey]:
        """By id."""
        return await self._kept.all()

    async def make(
        self,
        name: str,
        rights: Iterable[Permission],
        scope: ResourceScope | None = None,
        *,
        device: bool = False,
        days: float | None = None,
        by: str = "",
    ) -> tuple[ApiKey, str]:
        """A new one and its text, which nobody can show again. With `device` the name is a device's id; it sends as itself."""
        if days is not None and not 0 < days <= _DAYS_LIMIT:
            raise AccountError("days", f"must be above 0 and {_DAYS_LIMIT} at most; leave it out for never")
        if device:
            if not is_device_id(name):
                raise AccountError("name", "is the device's id: 1 to 128 characters of A-Z a-z 0-9 . _ : -")
            rights, scope = {Permission.PUBLISH}, ResourceScope(frozenset((name,)))
        secret, now_ms = secrets.token_urlsafe(32), round(self._clock() * 1000)
        key = ApiKey(
            id=secrets.token_hex(8),
            name=name if device else key_name(name),
            kind=IdentityKind.DEVICE if device else IdentityKind.PROGRAM,
            permissions=frozenset(rights),
            secret=sha256_hex(secret.encode()),
            scope=scope,
            created_ms=now_ms,
            expires_ms=None if days is None else now_ms + round(days * 86_400_000),
            by=by,
        )
        if len(await self._kept.all()) >= LIMIT:
            raise AccountError("name", f"there are {LIMIT} keys, the most there may be")
        await self._kept.add(key)
        self._held[key.id] = key
        return key, f"{PREFIX}{key.id}_{secret}"

    async def remove(self, key_id: str) -> ApiKey:
        """Take it back, and then forget it: it is worth nothing whatever fails in between. Raises `UnknownAccount`."""
        key = await self._kept.get(key_id)
        if key is None:
            raise UnknownAccount(f"there is no key {key_id[:32]!a}")
        self.drop(key_id)
        await self._revocations.revoke(f"key:{key_id}")
        await self._kept.remove(key_id)
        return key

    def drop(self, key_id: str) -> None:
        """It was taken back."""
        self._held.pop(key_id, None)

    async def identify(self, shown: str, address: str) -> Identity:
        """Whose key it is; raises `Unauthorized`, and `TemporarilyUnavailable` where too many that nobody knows come from `address`."""
        found = _FORM.fullmatch(shown)
        key = await self._find(found[1], address) if found else None
        if found is None or key is None or not matches_hash(found[2].encode(), key.secret):
            raise Unauthorized("invalid", "there is no such key, or it was taken back")
        if key.expires_ms is not None and self._clock() * 1000 >= key.expires_ms:
            raise Unauthorized("expired", "this key has expired")
        expires = None if key.expires_ms is None else key.expires_ms / 1000
        return Identity(key.kind, key.name, key.permissions, key.scope, expires, f"key:{key.id}")

    async def _find(self, key_id: str, address: str) -> ApiKey | None:
        key = self._held.get(key_id)
        if key is None and f"key:{key_id}" not in self._revocations:
            self._take_look(rate_limit_key(address))
            key = await self._kept.get(key_id)
            if key is not None and f"key:{key_id}" not in self._revocations:
                self._held[key_id] = key
        return key

    def _take_look(self, place: str) -> None:
        looks = self._looks_of.setdefault(place, _LookupBudget(_LOOKS_A_SECOND))
        self._looks_of.move_to_end(place)
        if len(self._looks_of) > _PLACES_LIMIT:
            self._looks_of.popitem(last=False)
        if not (looks.take(self._clock()) and self._looks.take(self._clock())):
            raise TemporarilyUnavailable("too many keys that nobody knows; try again soon")
