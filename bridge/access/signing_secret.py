"""The secret that signs tokens: from the settings, or generated once and stored."""

from __future__ import annotations

import secrets

from bridge.ports import Store
from bridge.settings import AccessSettings

_KEY = "access_secret"
_BYTES = 48


async def signing_secret(settings: AccessSettings, store: Store) -> str:
    """The secret, the same for all bridges on one store, even if two start at once. Raises `StoreUnavailable`."""
    if settings.secret is not None:
        return settings.secret.get_secret_value()
    return await store.put_if_absent(_KEY, secrets.token_urlsafe(_BYTES))
