"""The secret that tokens are signed with: of the settings, or made once and kept in the store."""

from __future__ import annotations

import secrets

from bridge.ports import Store
from bridge.settings import AccessSettings

_KEY = "access_secret"
_BYTES = 48


async def signing_secret(settings: AccessSettings, store: Store) -> str:
    """Bridges on one store have the same, also when two of them start at once. Raises `StoreUnavailable`."""
    if settings.secret is not None:
        return settings.secret.get_secret_value()
    return await store.put_if_absent(_KEY, secrets.token_urlsafe(_BYTES))
