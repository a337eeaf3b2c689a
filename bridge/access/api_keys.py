"""API keys of programs and devices: `sbk_`, the id of the key, and a secret, of which only the hash is stored.

Keys are cached in memory, so that a request needs no store. A key that is not cached may be new and is looked up in the store,
at a limited rate for each address and for all: guessed ids cause little load and do not keep a new key from being found.
"""

import re
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

from bridge.access.revocations import Revocations
from bridge.core.access.accounts import ApiKey, key_name
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope
from bridge.core.access.secrets import KEY_PREFIX, matches_hash, sha256_hex
from bridge.core.errors import AccountError, DeviceIdError, TemporarilyUnavailable, Unauthorized, UnknownAccount
from bridge.core.rate_limit_key import rate_limit_key
from bridge.core.readings.identity import parse_device_id
from bridge.ports import ApiKeyStore

PREFIX = KEY_PREFIX
LIMIT = 10_000
_DAYS_LIMIT = 3650
_FORMAT = re.compile(r"sbk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_LOOKUPS_PER_SECOND, _ALL_LOOKUPS_PER_SECOND = 20.0, 200.0
_ADDRESSES_LIMIT = 10_000


class _LookupBudget:
    """A token bucket that holds the lookups of one second."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = self._left = rate
        self._at = 0.0

    def take(self, now: float) -> bool:
        self._left = min(self._rate, self._left + max(now - self._at, 0.0) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class ApiKeys:
    """Creates, verifies and removes API keys. Each call may raise `StoreUnavailable`."""

    def __init__(self, store: ApiKeyStore, revocations: Revocations, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch."""
        self._store = store
        self._revocations = revocations
        self._clock = clock
        self._cache: dict[str, ApiKey] = {}
        self._budget = _LookupBudget(_ALL_LOOKUPS_PER_SECOND)
        self._budgets: OrderedDict[str, _LookupBudget] = OrderedDict()

    async def load(self) -> None:
        self._cache = {key.id: key for key in await self._store.all()}

    async def all(self) -> list[ApiKey]:
        return await self._store.all()

    async def make(
        self,
        name: str,
        rights: Iterable[Permission],
        scope: ResourceScope | None = None,
        *,
        device: bool = False,
        channels: frozenset[str] | None = None,
        days: float | None = None,
        by: str = "",
    ) -> tuple[ApiKey, str]:
        """Create a key. Returns it and its text, which cannot be recovered later. Raises `AccountError`.

        With `device`, `name` is the id of a device, and the key may publish as this device only.
        """
        if days is not None and not 0 < days <= _DAYS_LIMIT:
            raise AccountError("days", f"must be above 0 and at most {_DAYS_LIMIT}; omit it for a key that never expires")
        if device:
            try:
                name = parse_device_id(name)
            except DeviceIdError as error:
                raise AccountError("name", str(error)) from None
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
            channels=None if device else channels,
        )
        if len(await self._store.all()) >= LIMIT:
            raise AccountError("name", f"the limit of {LIMIT} keys is reached; remove one first")
        await self._store.add(key)
        self._cache[key.id] = key
        return key, f"{PREFIX}{key.id}_{secret}"

    async def rotate(self, key_id: str) -> tuple[ApiKey, str]:
        """Replace a key by a new one with the same name, rights and limits; the old one is revoked.

        The new key lasts as long as the old one did from its creation. It counts as made by the same maker, and ends with them.
        Returns it and its text, which cannot be recovered later. Raises `UnknownAccount`.
        """
        old = await self._store.get(key_id)
        if old is None:
            raise _unknown(key_id)
        secret, now_ms = secrets.token_urlsafe(32), round(self._clock() * 1000)
        key = replace(
            old,
            id=secrets.token_hex(8),
            secret=sha256_hex(secret.encode()),
            created_ms=now_ms,
            expires_ms=None if old.expires_ms is None else now_ms + old.expires_ms - old.created_ms,
        )
        await self._store.add(key)
        self.drop(old.id)
        await self._revocations.revoke(f"key:{old.id}")
        if not await self._store.remove(old.id):  # it was replaced or revoked meanwhile: this one replaces nothing
            await self._store.remove(key.id)
            raise _unknown(key_id)
        self._cache[key.id] = key
        return key, f"{PREFIX}{key.id}_{secret}"

    async def made_by(self, maker: str) -> list[ApiKey]:
        """The keys that `maker` (`person:NAME`) made, and in turn those that their administering keys made.

        A key records the name of the key that made it. Where several administering keys have this name, it belongs to none.
        """
        keys = await self._store.all()
        names = Counter(f"{key.kind}:{key.name}" for key in keys if Permission.ADMIN in key.permissions)
        found: dict[str, ApiKey] = {}
        makers = [maker]
        while makers:
            made = [key for key in keys if key.by == makers[-1] and key.id not in found]
            makers.pop()
            found |= {key.id: key for key in made}
            own_names = (f"{key.kind}:{key.name}" for key in made if Permission.ADMIN in key.permissions)
            makers += [name for name in own_names if names[name] == 1]
        return [found[key_id] for key_id in sorted(found)]

    async def remove(self, key_id: str) -> ApiKey:
        """Revoke a key, then remove it: it is revoked even if the removal fails. Raises `UnknownAccount`."""
        key = await self._store.get(key_id)
        if key is None:
            raise _unknown(key_id)
        self.drop(key_id)
        await self._revocations.revoke(f"key:{key_id}")
        await self._store.remove(key_id)
        return key

    def drop(self, key_id: str) -> None:
        self._cache.pop(key_id, None)

    async def identify(self, credential: str, address: str) -> Identity:
        """The identity of a key. Raises `Unauthorized`; `TemporarilyUnavailable` after too many unknown keys from `address`."""
        match = _FORMAT.fullmatch(credential)
        key = await self._find(match[1], address) if match else None
        if match is None or key is None or not matches_hash(match[2].encode(), key.secret):
            raise Unauthorized("invalid", "this API key does not exist, or was revoked")
        if key.expires_ms is not None and self._clock() * 1000 >= key.expires_ms:
            raise Unauthorized("expired", "this API key has expired")
        expires = None if key.expires_ms is None else key.expires_ms / 1000
        return Identity(key.kind, key.name, key.permissions, key.scope, expires, f"key:{key.id}", key.channels)

    async def _find(self, key_id: str, address: str) -> ApiKey | None:
        key = self._cache.get(key_id)
        if key is None and f"key:{key_id}" not in self._revocations:
            self._count_lookup(rate_limit_key(address))
            key = await self._store.get(key_id)
            if key is not None and f"key:{key_id}" not in self._revocations:
                self._cache[key_id] = key
        return key

    def _count_lookup(self, address: str) -> None:
        budget = self._budgets.setdefault(address, _LookupBudget(_LOOKUPS_PER_SECOND))
        self._budgets.move_to_end(address)
        if len(self._budgets) > _ADDRESSES_LIMIT:
            self._budgets.popitem(last=False)
        if not (budget.take(self._clock()) and self._budget.take(self._clock())):
            raise TemporarilyUnavailable("too many unknown API keys: try again soon")


def _unknown(key_id: str) -> UnknownAccount:
    return UnknownAccount(f"no API key {key_id[:32]!a}")
