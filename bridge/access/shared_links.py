"""Shared links: `sbl_`, the id of the link, and a secret, of which only the hash is stored.

A link is no credential of a request. The page that it opens exchanges it for an access token, which is as short-lived as that
of a user, is limited to the link's devices, and may read only. So the secret is in the body of one request, never in an
address that the bridge or a proxy logs.
"""

import re
import secrets
import time
from collections.abc import Callable

from bridge.access.revocations import Revocations
from bridge.core.access.permissions import ResourceScope
from bridge.core.access.secrets import matches_hash, sha256_hex
from bridge.core.access.shared_links import DAYS_LIMIT, SharedLink, title_of, view_of
from bridge.core.errors import AccountError, Unauthorized, UnknownAccount
from bridge.ports import SharedLinkStore

PREFIX = "sbl_"
LIMIT = 1000
_FORMAT = re.compile(r"sbl_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_LISTED_AFTER_MS = 30 * 86_400_000
"""How long an expired link stays in the list."""


def grant_of(link_id: str) -> str:
    return f"link:{link_id}"


class SharedLinks:
    """Creates, opens and revokes links. Each call may raise `StoreUnavailable`."""

    def __init__(self, store: SharedLinkStore, revocations: Revocations, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch."""
        self._store = store
        self._revocations = revocations
        self._clock = clock

    async def all(self) -> list[SharedLink]:
        """Return the links, the newest first; those that expired long ago are removed."""
        links = await self._store.all()
        old = [link for link in links if link.expires_ms + _LISTED_AFTER_MS < self._clock() * 1000]
        for link in old:
            await self._store.remove(link.id)
        return sorted((link for link in links if link not in old), key=lambda link: (-link.created_ms, link.id))

    async def make(self, title: str, view: str, scope: ResourceScope, *, days: float, by: str) -> tuple[SharedLink, str]:
        """Create a link. Returns it and its token, which cannot be recovered later. Raises `AccountError`."""
        if not 0 < days <= DAYS_LIMIT:
            raise AccountError("days", f"must be above 0 and at most {DAYS_LIMIT}")
        if len(await self.all()) >= LIMIT:
            raise AccountError("title", f"the limit of {LIMIT} links is reached; revoke one first")
        secret, now_ms = secrets.token_urlsafe(32), round(self._clock() * 1000)
        link = SharedLink(
            id=secrets.token_hex(8),
            title=title_of(title),
            view=view_of(view),
            secret=sha256_hex(secret.encode()),
            scope=scope,
            created_ms=now_ms,
            expires_ms=now_ms + round(days * 86_400_000),
            by=by,
        )
        await self._store.add(link)
        return link, f"{PREFIX}{link.id}_{secret}"

    async def open(self, token: str) -> SharedLink:
        """Return the link of a token. Raises `Unauthorized`: `expired` only to those who have the whole token."""
        match = _FORMAT.fullmatch(token)
        link = await self._store.get(match[1]) if match else None
        if match is None or link is None or not matches_hash(match[2].encode(), link.secret):
            raise Unauthorized("invalid", "this link does not exist, or was revoked")
        if grant_of(link.id) in self._revocations:  # and removed from the store next
            raise Unauthorized("invalid", "this link does not exist, or was revoked")
        if self._clock() * 1000 >= link.expires_ms:
            raise Unauthorized("expired", "this link has expired")
        return link

    async def revoke(self, link_id: str) -> SharedLink:
        """Revoke a link, then remove it: it is revoked even if the removal fails. Raises `UnknownAccount`."""
        link = await self._store.get(link_id)
        if link is None:
            raise UnknownAccount(f"no link {link_id[:32]!a}")
        await self._revocations.revoke(grant_of(link_id))
        await self._store.remove(link_id)
        return link
